/** Secsync's documents for an app without Effect: it makes them, decides on each message, hears of it, and deletes them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectRaw, openRaw } from "#test-support/clients/RawSecsync"
import { startMounted } from "#test-support/servers/MountedServer"
import { until } from "#test-support/until"
import type { StoredMessage } from "../../src/node/index.ts"
import { makeAuthor, snapshotMessage, updateMessage } from "../../src/testing/SealedMessages.ts"

const [libraryId, documentId] = ["notes", "team/welcome"]

describe("documents that the app makes", () => {
  it.live("are served once they are made, and not any more once they are deleted", () =>
    Effect.gen(function* () {
      const { port, sealog } = yield* startMounted({ secsync: { createDocuments: false } })
      const token = yield* Effect.promise(() => sealog.mint({ userId: "ada", libraryId }))
      const options = { url: `ws://127.0.0.1:${port}`, documentId, token }
      const codeOfMissing = Effect.map(
        Effect.flatMap(openRaw(options), ({ closed }) => closed),
        ({ code }) => code
      )
      assert.strictEqual(yield* codeOfMissing, 4404)
      assert.isTrue(yield* Effect.promise(() => sealog.createDocument(libraryId, documentId)))
      assert.isFalse(yield* Effect.promise(() => sealog.createDocument(libraryId, documentId)))
      const client = yield* connectRaw(options)
      client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
      yield* client.next("snapshot-saved")

      assert.isTrue(yield* Effect.promise(() => sealog.delete({ libraryId, documentId })))
      assert.strictEqual((yield* client.closed).code, 4404)
      assert.isFalse(yield* Effect.promise(() => sealog.delete({ libraryId, documentId })))
      const refused = yield* Effect.flip(Effect.tryPromise(() => sealog.createDocument(libraryId, documentId)))
      assert.match(String(refused.cause), /deleted for good/)
      assert.isTrue(yield* Effect.promise(() => sealog.allowAgain({ libraryId, documentId })))
      assert.isFalse(yield* Effect.promise(() => sealog.allowAgain({ libraryId, documentId })))
      assert.isTrue(yield* Effect.promise(() => sealog.createDocument(libraryId, documentId)))
    })
  )
})

describe("hooks with promises", () => {
  it.live("decide on each message before it is stored, and hear of it again until they have taken it", () =>
    Effect.gen(function* () {
      const banned = makeAuthor()
      const heard: Array<StoredMessage> = []
      let failures = 1
      const { port, sealog } = yield* startMounted({
        secsync: {
          beforeStored: async ({ pubKey }) => (pubKey === banned.pubKey ? "refuse" : "store"),
          afterStored: async (message) => {
            if (failures-- > 0) throw new Error("the app's database is away")
            heard.push(message)
          }
        }
      })
      const token = yield* Effect.promise(() => sealog.mint({ userId: "ada", libraryId }))
      const client = yield* connectRaw({ url: `ws://127.0.0.1:${port}`, documentId, token })
      client.send(snapshotMessage(banned, { docId: documentId }))
      yield* client.next("snapshot-save-failed")
      const author = makeAuthor()
      const snapshot = snapshotMessage(author, { docId: documentId })
      client.send(snapshot)
      yield* client.next("snapshot-saved")
      const { snapshotId } = snapshot.publicData
      client.send(updateMessage(author, { docId: documentId, refSnapshotId: snapshotId, clock: 0 }))
      yield* client.next("update-saved")
      yield* until("the app has heard of both", () => heard.length === 2)
      assert.deepStrictEqual(
        heard.map(({ _tag, userId, version }) => ({ _tag, userId, version })),
        [
          { _tag: "Snapshot", userId: "ada", version: 1 },
          { _tag: "Update", userId: "ada", version: 2 }
        ]
      )
    })
  )
})
