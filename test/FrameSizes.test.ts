/** The frames that real clients send in ordinary use. docs/limits.md names their sizes beside the limits. */
import { assert, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import * as Y from "yjs"
import { connectClient } from "./support/secsync/SecsyncClient.ts"
import { randomName, startServer } from "./support/servers/TestServer.ts"
import { until } from "./support/until.ts"
import { libraryOn } from "./support/verdant/Library.ts"
import type { Message } from "./support/verdant/Network.ts"
import { openClient } from "./support/verdant/VerdantClient.ts"

/** An eighth of the largest frame: a real client leaves the rest to apps with larger documents. */
const ORDINARY = 4 * 1024 * 1024
const PASTE = "x".repeat(100_000)

const show = (sizes: Readonly<Record<string, number>>): void => {
  for (const [name, size] of Object.entries(sizes)) console.log(`${name}: ${Math.ceil(size / 1024)} KiB`)
  for (const size of Object.values(sizes)) {
    assert.isAbove(size, 0)
    assert.isBelow(size, ORDINARY)
  }
}

const largest = (type: string, messages: ReadonlyArray<Message>): number =>
  Math.max(0, ...messages.filter((message) => message.type === type).map((message) => JSON.stringify(message).length))

it.live("a Verdant client sends and receives its largest frames when it syncs", () =>
  Effect.gen(function* () {
    const library = libraryOn(yield* startServer())
    const writer = yield* openClient({ library, user: "ada", offline: true })
    for (let n = 0; n < 1000; n++) yield* writer.put({ id: `i${n}`, content: "x".repeat(200) })
    yield* writer.goOnline
    const first = largest("sync", writer.network.sent)
    yield* writer.edit("i0", (item) => item.set("content", "typed"))
    const typed = largest("op", writer.network.sent)
    yield* writer.edit("i0", (item) => item.set("content", PASTE))
    yield* until("it is settled", Effect.sync(writer.isSettled))
    const reader = yield* openClient({ library, user: "grace" })
    yield* reader.until(
      "it has all",
      (items) => items.length === 1000 && items.some(({ content }) => content === PASTE)
    )
    show({
      "Verdant: first sync of 1,000 objects": first,
      "Verdant: answer with 1,000 objects and the paste": largest("sync-resp", reader.network.received),
      "Verdant: operation of one field": typed,
      "Verdant: paste of 100 kB": largest("op", writer.network.sent),
      "Verdant: presence": largest("presence-update", writer.network.sent)
    })
  })
)

it.live("a Secsync client sends its largest frames when it stores a snapshot", () =>
  Effect.gen(function* () {
    const server = yield* startServer()
    const [documentId, libraryId] = [randomName(), randomName()]
    const doc = new Y.Doc()
    const text = doc.getText("text")
    // At random places, so that Yjs cannot merge them.
    for (let n = 0; n < 10_000; n++) text.insert((n * 7919) % (text.length + 1), "x")
    const token = yield* server.token(libraryId)
    const client = yield* connectClient({ url: server.url, documentId, token, from: { doc, known: undefined } })
    const key = { libraryId: LibraryId.make(libraryId), streamId: documentId }
    const sizes = (type: string) =>
      Effect.map(server.log.read(key, { after: 0 }), (events) =>
        events.filter(({ event }) => event.type === type).map(({ payload }) => payload?.length ?? 0)
      )
    const untilStored = (type: string) =>
      until(
        `the log has a ${type}`,
        Effect.map(sizes(type), ({ length }) => length > 0)
      )
    yield* client.until("it is settled", client.isSettled)
    // The first change brings the document, as a snapshot.
    client.write("typed")
    yield* untilStored("SnapshotStored")
    yield* client.until("it is settled", client.isSettled)
    client.write(PASTE)
    yield* untilStored("UpdateStored")
    show({
      "Secsync: snapshot of 10,000 edits": Math.max(...(yield* sizes("SnapshotStored"))),
      "Secsync: paste of 100 kB": Math.max(...(yield* sizes("UpdateStored")))
    })
  })
)
