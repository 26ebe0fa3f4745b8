/** A server that shuts down stores and answers everything it has received, and closes with 1001. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { EventLog } from "@sealog/server/ports/EventLog"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"

const UPDATES = 400

const openLog = (database: string) =>
  Effect.map(Layer.build(layerOf(database)), (services) => Context.get(services, EventLog))

describe("a graceful shutdown", () => {
  it.live("a server that shuts down under load closes with 1001, and has stored exactly the acknowledged updates", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      // The database belongs to the test's scope, so that it outlives the server.
      const database = yield* freshStorage
      const server = yield* Scope.provide(startServer({ database }), scope)
      const library = randomName()
      const docId = randomName()
      const client = yield* connectRaw({ url: server.url, documentId: docId, token: yield* server.token(library) })
      const author = makeAuthor()
      const snapshot = snapshotMessage(author, { docId })
      client.send(snapshot)
      yield* client.next("snapshot-saved")
      const refSnapshotId = snapshot.publicData.snapshotId
      for (let clock = 0; clock < UPDATES; clock++) client.send(updateMessage(author, { docId, refSnapshotId, clock }))
      yield* client.next("update-saved", ({ clock }) => clock === 20)

      yield* Scope.close(scope, Exit.void)
      const log = yield* openLog(database)
      const stored = yield* log.read({ libraryId: LibraryId.make(library), streamId: docId }, { after: 1 })
      assert.strictEqual((yield* client.closed).code, 1001)
      const acknowledged = client.frames.filter(({ type }) => type === "update-saved").map(({ clock }) => clock)
      assert.isAtLeast(acknowledged.length, 21)
      assert.deepStrictEqual(
        stored.map(({ event }) => (event.data as { readonly clock: number }).clock),
        acknowledged
      )
    })
  )

  it.live(
    "a server that shuts down stores what a client sent before it received the close frame, also if the process stalls",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const database = yield* freshStorage
        const server = yield* Scope.provide(startServer({ database }), scope)
        const library = randomName()
        const docId = randomName()
        const options = { url: server.url, documentId: docId, token: yield* server.token(library) }
        const client = yield* connectRaw(options)
        const witness = yield* connectRaw({ ...options, documentId: randomName() })
        client.socket.pause()
        const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* witness.closed
        // Stalls the process for longer than the server waits for its clients.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3500)
        const author = makeAuthor()
        const snapshot = snapshotMessage(author, { docId })
        client.send(snapshot)
        client.send(updateMessage(author, { docId, refSnapshotId: snapshot.publicData.snapshotId, clock: 0 }))
        client.socket.resume()
        yield* Fiber.join(stopping)
        assert.strictEqual((yield* client.closed).code, 1001)
        const log = yield* openLog(database)
        const stored = yield* log.read({ libraryId: LibraryId.make(library), streamId: docId }, { after: 0 })
        assert.deepStrictEqual(
          stored.map(({ event }) => event.type),
          ["SnapshotStored", "UpdateStored"]
        )
      })
  )
})
