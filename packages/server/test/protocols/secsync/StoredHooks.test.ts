/** The app's hooks around stored messages: before may refuse, after hears of each message in order. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { randomName, startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import type { BeforeStored, IncomingMessage, StoredHookOptions, StoredMessage } from "../../../src/index.ts"
import { makeAuthor, snapshotMessage, updateMessage } from "../../../src/testing/SealedMessages.ts"

const author = makeAuthor()

/** A client on a new document of a server with hooks. `next` makes its update of a clock. */
const startClient = Effect.fnUntraced(function* (secsync: StoredHookOptions) {
  const server = yield* startMemoryServer({ secsync })
  const library = randomName()
  const docId = "team/notes"
  const client = yield* connectRaw({ url: server.url, documentId: docId, token: yield* server.token(library) })
  const snapshot = { ...snapshotMessage(author, { docId }), additionalServerData: { workspace: "w1" } }
  const next = (clock: number) => updateMessage(author, { docId, refSnapshotId: snapshot.publicData.snapshotId, clock })
  return { client, docId, library, next, snapshot }
})

describe("the hook before a message is stored", () => {
  it.live("is asked for genuine messages, and refuses in the protocol's own words", () =>
    Effect.gen(function* () {
      const asked: Array<IncomingMessage> = []
      let answer: BeforeStored = "refuse"
      const beforeStored = (message: IncomingMessage) =>
        Effect.sync(() => {
          asked.push(message)
          return answer
        })
      const { client, docId, next, snapshot } = yield* startClient({ beforeStored })
      client.send({ ...snapshot, signature: "A".repeat(86) })
      yield* client.next("snapshot-save-failed")
      assert.lengthOf(asked, 0)
      client.send(snapshot)
      yield* client.next("snapshot-save-failed")
      answer = "store"
      client.send(snapshot)
      yield* client.next("snapshot-saved")
      answer = "refuse"
      client.send(next(0))
      assert.isFalse((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
      answer = "requireSnapshot"
      client.send(next(0))
      assert.isTrue((yield* client.next("update-save-failed"))["requiresNewSnapshot"])
      answer = "store"
      client.send(next(0))
      yield* client.next("update-saved")
      const { snapshotId } = snapshot.publicData
      const { grant, ...first } = asked[0]!
      const which = { documentId: docId, pubKey: author.pubKey, snapshotId }
      assert.deepStrictEqual(first as object, {
        ...{ _tag: "Snapshot", ...which },
        additionalServerData: { workspace: "w1" }
      })
      assert.strictEqual(grant.userId, "somebody")
      const { grant: _, ...last } = asked.at(-1)!
      assert.deepStrictEqual(last as object, { _tag: "Update", ...which, clock: 0 })
    })
  )

  for (const [name, beforeStored] of [
    ["fails", () => Effect.fail("away")],
    ["throws", () => Effect.sync(() => assert.fail("a defect of the app"))],
    ["does not answer in time", () => Effect.uninterruptible(Effect.never)]
  ] as const) {
    it.live(`closes the connection and stores nothing when it ${name}`, () =>
      Effect.gen(function* () {
        const stored: Array<StoredMessage> = []
        const afterStored = (message: StoredMessage) => Effect.sync(() => void stored.push(message))
        const { client, snapshot } = yield* startClient({ beforeStored, afterStored, hookTimeout: "50 millis" })
        client.send(snapshot)
        assert.strictEqual((yield* client.closed).code, 1013)
        assert.lengthOf(stored, 0)
      })
    )
  }
})

describe("the hook after a message is stored", () => {
  it.live("hears of each message in the order of the versions, again after a failure", () =>
    Effect.gen(function* () {
      const heard: Array<StoredMessage> = []
      let failures = 0
      const afterStored = (message: StoredMessage) =>
        Effect.suspend(() => {
          if (message.version === 2 && failures++ < 2) return Effect.fail("away")
          heard.push(message)
          return Effect.void
        })
      const { client, docId, library, next, snapshot } = yield* startClient({ afterStored })
      client.send(snapshot)
      yield* client.next("snapshot-saved")
      for (const clock of Array.range(0, 9)) client.send(next(clock))
      yield* client.next("update-saved", (frame) => frame["clock"] === 9)
      // A repeat is acknowledged, and is no new message.
      client.send(next(9))
      yield* until("all are heard", () => heard.length === 11)
      assert.deepStrictEqual(
        heard.map(({ version }) => version),
        Array.range(1, 11)
      )
      assert.strictEqual(failures, 3)
      const { recordedAt, ...second } = heard[1]!
      assert.isAbove(recordedAt, 0)
      assert.deepStrictEqual(second as object, {
        ...{ _tag: "Update", libraryId: library, documentId: docId, version: 2, userId: "somebody" },
        ...{ pubKey: author.pubKey, snapshotId: snapshot.publicData.snapshotId, clock: 0 }
      })
    })
  )
})
