/** Documents that the app makes, for a server whose clients cannot make any. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { allowAgain, deleteForGood } from "../../../src/admin/Deletion.ts"
import { DocumentId, LibraryId } from "../../../src/domain/Ids.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { makeAuthor, snapshotMessage } from "../../../src/testing/SealedMessages.ts"

describe("documents of the app", () => {
  it.live("a client opens a document that the app has made, and no other", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ secsync: { createDocuments: false }, quota: { documents: 1 } })
      const [libraryId, documentId] = [LibraryId.make("notes"), DocumentId.make("team/notes")]
      const options = { url: server.url, documentId, token: yield* server.token(libraryId) }
      const early = yield* connectRaw(options)
      assert.deepStrictEqual(early.first, { type: "document-not-found" })
      assert.strictEqual((yield* early.closed).code, 4404)

      assert.isTrue(yield* server.documents.create(libraryId, documentId))
      assert.isFalse(yield* server.documents.create(libraryId, documentId))
      const full = yield* Effect.flip(server.documents.create(libraryId, DocumentId.make("second")))
      assert.deepStrictEqual([full._tag, "reason" in full && full.reason], ["DocumentRefused", "full"])
      const client = yield* connectRaw(options)
      assert.deepStrictEqual(client.first, { type: "document", updates: [] })
      client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
      yield* client.next("snapshot-saved")

      const on = Effect.provideService(EventLog, server.log)
      const administer = <A, E>(effect: Effect.Effect<A, E, EventLog | Signals>) =>
        effect.pipe(on, Effect.provide(Signals.layerNone), Effect.orDie)
      yield* administer(deleteForGood({ libraryId, documentId }))
      const deleted = yield* Effect.flip(server.documents.create(libraryId, documentId))
      assert.deepStrictEqual([deleted._tag, "reason" in deleted && deleted.reason], ["DocumentRefused", "deleted"])
      // The room has read the deletion.
      assert.strictEqual((yield* client.closed).code, 4404)
      yield* administer(allowAgain({ libraryId, documentId }))
      const again = yield* connectRaw(options)
      assert.deepStrictEqual(again.first, { type: "document-not-found" })
    })
  )
})
