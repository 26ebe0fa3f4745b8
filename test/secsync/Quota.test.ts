/** Real clients of a document that reaches its quota of bytes: they replace its snapshot, and lose or repeat nothing. */
import { assert, it } from "@effect/vitest"
import { setQuota } from "@sealog/server/admin/LibraryQuota"
import { LibraryId } from "@sealog/server/domain/Ids"
import { makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { writeItems } from "../support/secsync/writeItems.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

it.live("clients of a document whose updates reach its quota go on with a snapshot", () =>
  Effect.gen(function* () {
    const server = yield* startServer({ quota: { documentBytes: 20_000 } })
    const [documentId, libraryId] = [randomName(), randomName()]
    const options = { url: server.url, documentId, token: yield* server.token(libraryId) }
    yield* writeItems(2, options)
    const events = yield* server.log.read({ libraryId: libraryId as never, streamId: documentId }, { after: 0 })
    assert.isAbove(events.filter(({ event }) => event.checkpoint).length, 1)
  })
)

it.live("the client of a document for which its library has no room keeps it until there is", () =>
  Effect.gen(function* () {
    const database = yield* freshStorage
    const libraryId = randomName()
    const quota = { documents: 1 }
    const firstDocument = Effect.gen(function* () {
      const server = yield* startServer({ database, quota })
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(libraryId) }
      const client = yield* connectRaw(options)
      client.send(snapshotMessage(makeAuthor(), { docId: options.documentId }))
      yield* client.next("snapshot-saved")
    })
    yield* Effect.scoped(firstDocument)

    const server = yield* startServer({ database, quota })
    const options = { url: server.url, documentId: randomName(), token: yield* server.token(libraryId) }
    const raw = yield* connectRaw(options)
    raw.send(snapshotMessage(makeAuthor(), { docId: options.documentId }))
    yield* raw.next("snapshot-save-failed")
    const second = yield* connectClient(options)
    second.write("kept")
    yield* setQuota(LibraryId.make(libraryId), { documents: 2 }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
    yield* until(
      "it is stored",
      Effect.gen(function* () {
        second.disconnect()
        second.reconnect()
        yield* second.until("it is connected", () => second.state() === "connected")
        return (
          (yield* server.log.heads([{ libraryId: LibraryId.make(libraryId), streamId: options.documentId }]))[0]!
            .version > 0
        )
      })
    )
    const newcomer = yield* connectClient(options)
    yield* newcomer.until("it has the item", () => newcomer.list().includes("kept"))
  })
)
