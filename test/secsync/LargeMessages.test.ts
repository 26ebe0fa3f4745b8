/** Messages that are decoded on a thread, between those that are not: stored in their order, and read as they were sent. */
import { assert, describe, it } from "@effect/vitest"
import { snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { startServer } from "#test-support/servers/TestServer"

/** Bytes of a ciphertext that is decoded on a thread, and appended on one where the storage does that. */
const LARGE = 3 * 1024 * 1024

describe("large messages", () => {
  it.live("are stored in their order with small ones, and reach readers and newcomers as they were sent", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { author, client, docId, options, snapshot } = yield* startDocument(server)
      const reader = yield* connectRaw(options)

      const large = snapshotMessage(author, { docId, parent: snapshot, ciphertext: LARGE })
      const refSnapshotId = large.publicData.snapshotId
      const sizes = [100, LARGE, 100, 100, LARGE, 100]
      const updates = sizes.map((ciphertext, clock) =>
        updateMessage(author, { docId, refSnapshotId, clock, ciphertext })
      )
      client.send(large)
      for (const update of updates) client.send(update)

      assert.strictEqual((yield* client.next("snapshot-saved"))["snapshotId"], refSnapshotId)
      for (const { publicData } of updates) {
        assert.strictEqual((yield* client.next("update-saved"))["clock"], publicData.clock)
      }
      assert.deepStrictEqual((yield* reader.next("snapshot"))["snapshot"], large)
      for (const update of updates) {
        const { type: _, ...received } = yield* reader.next("update")
        assert.deepStrictEqual(received as unknown, update)
      }
      const newcomer = yield* connectRaw(options)
      assert.deepStrictEqual(newcomer.first["snapshot"], large)
      assert.deepStrictEqual(newcomer.first["updates"] as unknown, updates)
    })
  )

  it.live("are refused when they are not signed by their author, or cannot be decoded", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const { author, client, docId, snapshot } = yield* startDocument(server)
      const refSnapshotId = snapshot.publicData.snapshotId
      const update = updateMessage(author, { docId, refSnapshotId, clock: 0, ciphertext: LARGE })
      const small = updateMessage(author, { docId, refSnapshotId, clock: 0 })
      client.send({ ...update, signature: small.signature })
      assert.strictEqual((yield* client.next("update-save-failed"))["clock"], 0)
      client.send({ ...update, nonce: "no nonce" })
      assert.strictEqual((yield* client.next("update-save-failed"))["clock"], 0)
      client.send(snapshotMessage(author, { docId, ciphertext: LARGE, parent: snapshot, snapshotId: "" }))
      yield* client.next("snapshot-save-failed")
      client.send(small)
      assert.strictEqual((yield* client.next("update-saved"))["clock"], 0)
      client.send("x".repeat(LARGE))
      assert.strictEqual((yield* client.closed).code, 1007)
    })
  )
})
