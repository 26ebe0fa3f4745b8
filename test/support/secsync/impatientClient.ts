/** A raw client that writes on through every outage. */
import { LibraryId } from "@sealog/server/domain/Ids"
import { updateMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { openRaw, type RawSecsync } from "../clients/RawSecsync.ts"
import { mintToken } from "../servers/ServerProcess.ts"
import { randomName } from "../servers/TestServer.ts"
import { begin, makeWriter } from "./Writers.ts"

/**
 * A client that writes on, and connects again every 50 ms. `longestWait` is the longest time between two acknowledgements: the pause of a
 * move.
 */
export const impatientClient = Effect.fnUntraced(function* (url: string) {
  const [documentId, libraryId] = [randomName(), LibraryId.make(randomName())]
  const token = yield* mintToken(libraryId)
  yield* begin(url, documentId, token)
  const writer = makeWriter(documentId)
  let [last, longestWait] = [performance.now(), 0]
  const writeBy = Effect.fnUntraced(function* ({ next, send }: RawSecsync) {
    const { snapshot } = yield* next("document")
    const { publicData } = snapshot as { readonly publicData: { readonly snapshotId: string } }
    while (true) {
      const clock = writer.acknowledged
      writer.sent[clock] ??= updateMessage(writer.author, {
        docId: documentId,
        refSnapshotId: publicData.snapshotId,
        clock
      })
      send(writer.sent[clock])
      yield* next("update-saved", (frame) => frame["clock"] === clock)
      writer.acknowledged += 1
      longestWait = Math.max(longestWait, performance.now() - last)
      last = performance.now()
      yield* Effect.sleep("10 millis")
    }
  })
  const connection = Effect.gen(function* () {
    const client = yield* openRaw({ url, documentId, token })
    yield* Effect.raceFirst(writeBy(client), client.closed)
  })
  yield* Effect.scoped(connection).pipe(
    Effect.catchDefect(() => Effect.void),
    Effect.andThen(Effect.sleep("50 millis")),
    Effect.forever,
    Effect.forkScoped
  )
  return { libraryId, writer, longestWait: () => longestWait }
})
