/** A stream with an event that cannot be applied, in a server with other streams. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectRaw, openRaw } from "#test-support/clients/RawSecsync"
import { ask, bearer } from "#test-support/network/uploads"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { makeReplica } from "#test-support/verdant/Replica"
import { LibraryId } from "../../src/domain/Ids.ts"
import { type NewEvent, place, type StreamKey } from "../../src/domain/Stream.ts"
import { VERDANT } from "../../src/domain/verdant/Events.ts"
import type { EventLog } from "../../src/ports/EventLog.ts"
import { snapshotMessage, updateMessage } from "../../src/testing/SealedMessages.ts"

const nonsense: NewEvent = { type: "Nonsense", data: {}, payloadHash: "", checkpoint: false }

/** Appends an event that no protocol can apply, as another process could. */
const appendNonsense = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey) {
  const [head] = yield* log.heads([key])
  const event = place(key, head!, nonsense, "another process", 0)
  yield* log.append([{ key, expectedVersion: head!.version, events: [{ event, payload: null }] }])
}, Effect.orDie)

describe("a document with an event that cannot be applied", () => {
  it.live("closes its clients with 1011, and other documents are written", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const [broken, intact] = [yield* startDocument(server), yield* startDocument(server)]
      const reader = yield* connectRaw(broken.options)
      yield* appendNonsense(log, broken.key)
      const { author, docId, refSnapshotId } = broken
      broken.client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      assert.strictEqual((yield* broken.client.closed).code, 1011)
      assert.strictEqual((yield* reader.closed).code, 1011)
      const again = yield* openRaw(broken.options)
      assert.strictEqual((yield* again.closed).code, 1011)

      const update = { docId: intact.docId, refSnapshotId: intact.refSnapshotId, clock: 0 }
      intact.client.send(updateMessage(intact.author, update))
      yield* intact.client.next("update-saved")
      assert.strictEqual((yield* ask(`http://127.0.0.1:${server.port}/healthz`)).status, 200)
    })
  )

  it.live("closes a client whose snapshot it cannot decide with 1011", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const { author, client, docId, key, snapshot } = yield* startDocument(server)
      yield* appendNonsense(log, key)
      client.send(snapshotMessage(author, { docId, parent: snapshot }))
      assert.strictEqual((yield* client.closed).code, 1011)
    })
  )
})

describe("a library with an event that cannot be applied", () => {
  it.live("answers a poll with 500 and code 5000, in an open room and afterwards, and other libraries with 200", () =>
    Effect.gen(function* () {
      const { layer, log } = yield* makeTroubledLog
      const server = yield* startMemoryServer({}, layer)
      const poll = Effect.fnUntraced(function* (libraryId: string) {
        const token = yield* server.token(libraryId)
        return yield* ask(`http://127.0.0.1:${server.port}/verdant`, {
          method: "POST",
          headers: { ...bearer(token), "content-type": "application/json" },
          body: JSON.stringify({ messages: [makeReplica().sync({ resyncAll: true })] })
        })
      })
      assert.strictEqual((yield* poll("broken")).status, 200)
      yield* appendNonsense(log, { libraryId: LibraryId.make("broken"), streamId: VERDANT })
      for (const _ of ["in the open room", "while it opens"]) {
        const { json, status } = yield* poll("broken")
        assert.deepStrictEqual([status, json], [500, { code: 5000 }])
      }
      assert.strictEqual((yield* poll("intact")).status, 200)
    })
  )
})
