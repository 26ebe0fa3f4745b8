/** A Secsync client that sends too much, repeats another's messages, or signs nothing that it sends. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { ephemeralMessage, makeAuthor, resign, updateMessage } from "../../../src/testing/SealedMessages.ts"

const MANY = 3000

/** A document with a client that receives, and one that sends. */
const makeScene = Effect.gen(function* () {
  const document = yield* startDocument(yield* startMemoryServer())
  const { author, client, docId } = document
  const sender = yield* connectRaw(document.options)
  // The sender's first ephemeral message confirms its document.
  yield* client.next("ephemeral-message")
  return { ...document, sender, message: () => ephemeralMessage(author, { docId }) }
})

describe("ephemeral messages", () => {
  it.live("are relayed once, also if another client repeats them", () =>
    Effect.gen(function* () {
      const { client, message, sender } = yield* makeScene
      const [first, last] = [message(), message()]
      for (const sent of [first, first, last]) sender.send(sent)
      const received = yield* Effect.forEach(Array.range(1, 2), () => client.next("ephemeral-message"))
      assert.deepStrictEqual(
        received.map((frame) => frame["signature"]),
        [first.signature, last.signature]
      )
      client.send(first)
      client.send(message())
      const reply = yield* sender.next("ephemeral-message")
      assert.notStrictEqual(reply["signature"], first.signature)
    })
  )

  it.live("above the rate of a connection are dropped, and its updates are stored", () =>
    Effect.gen(function* () {
      const { author, client, docId, message, refSnapshotId, sender } = yield* makeScene
      for (let i = 0; i < MANY; i++) sender.send(message())
      sender.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      yield* sender.next("update-saved")
      yield* client.next("update")
      const received = client.frames.filter(({ type }) => type === "ephemeral-message")
      assert.isAtLeast(received.length, 1000)
      assert.isBelow(received.length, MANY)
    })
  )
})

describe("messages that are not signed by their key", () => {
  it.live("are refused, and the connection is closed after a hundred in a row", () =>
    Effect.gen(function* () {
      const { author, docId, refSnapshotId, sender } = yield* makeScene
      const genuine = updateMessage(author, { docId, refSnapshotId, clock: 0 })
      const forged = resign(author, genuine, { pubKey: makeAuthor().pubKey })
      for (let i = 0; i < 100; i++) sender.send(forged)
      sender.send(genuine)
      yield* sender.next("update-saved")
      for (let i = 0; i <= 100; i++) sender.send(forged)
      assert.strictEqual((yield* sender.closed).code, 1008)
      assert.lengthOf(
        sender.frames.filter(({ type }) => type === "update-save-failed"),
        200
      )
    })
  )
})
