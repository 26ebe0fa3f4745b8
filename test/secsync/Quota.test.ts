/** Real clients of a document that reaches its quota of bytes: they replace its snapshot, and lose or repeat nothing. */
import { assert, it } from "@effect/vitest"
import { setQuota } from "@sealog/server/admin/LibraryQuota"
import { LibraryId } from "@sealog/server/domain/Ids"
import { makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { writeItems } from "../support/secsync/writeItems.ts"
import { randomName, type ServerOnDatabase, startServer } from "../support/servers/TestServer.ts"
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

it.live(
  "all documents of a library together reach its quota of payload bytes, also after a restart, and are read on",
  () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const libraryId = LibraryId.make(randomName())
      const quota = { payloadBytes: 300_000 }
      /** The answer to the first snapshot of a new document, of some 20 kB. */
      const write = Effect.fnUntraced(function* (server: ServerOnDatabase) {
        const documentId = randomName()
        const client = yield* connectRaw({ url: server.url, documentId, token: yield* server.token(libraryId) })
        client.send(snapshotMessage(makeAuthor(), { docId: documentId, ciphertext: 15_000 }))
        const [saved, failed] = [client.next("snapshot-saved"), client.next("snapshot-save-failed")]
        return yield* Effect.raceFirst(Effect.as(saved, documentId), Effect.as(failed, undefined))
      }, Effect.scoped)
      /** The documents that are stored before one is refused. */
      const fill = Effect.fnUntraced(function* (server: ServerOnDatabase) {
        const stored: Array<string> = []
        for (let last = yield* write(server); last !== undefined; last = yield* write(server)) stored.push(last)
        return stored
      })

      const documents = yield* Effect.scoped(Effect.flatMap(startServer({ database, quota }), fill))
      assert.isAtLeast(documents.length, 10)
      const server = yield* startServer({ database, quota })
      // The first ones after a restart may come before the log is counted.
      const more = yield* fill(server)
      const { payloadBytes } = yield* server.log.use(libraryId)
      assert.isBelow(payloadBytes, 2 * quota.payloadBytes)
      const reader = yield* connectRaw({
        ...{ url: server.url, documentId: documents[0]! },
        token: yield* server.token(libraryId)
      })
      assert.isDefined(reader.first["snapshot"])

      yield* setQuota(libraryId, { payloadBytes: 10_000_000 }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
      yield* until(
        "the new quota holds",
        Effect.map(write(server), (stored) => stored !== undefined)
      )
      assert.isBelow(more.length, documents.length)
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
