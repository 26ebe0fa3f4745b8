/** A database slower than a polling client waits: after three seconds without an answer, the client never polls again. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, VERDANT } from "@sealog/server/domain/verdant/Events"
import { Effect, Fiber, Latch } from "effect"
import { connectVerdant, post, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import type { Message } from "../support/verdant/Network.ts"
import { initialize, makeReplica, set } from "../support/verdant/Replica.ts"
import { openClient, openClients, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

/** A server whose database waits while a latch is closed, and continues when the latch opens. */
const startSlowly = Effect.gen(function* () {
  const [writing, opening, admitting] = [yield* Latch.make(true), yield* Latch.make(true), yield* Latch.make(true)]
  let timesOpened = 0
  const server = yield* startServer({
    logAs: (log) => ({
      ...log,
      append: (batch) => writing.whenOpen(log.append(batch)),
      heads: (keys) => admitting.whenOpen(log.heads(keys)),
      // A library's opening begins with the look for its newest checkpoint.
      streams: (options) => {
        if (options.streamId !== VERDANT) return log.streams(options)
        timesOpened += 1
        return opening.whenOpen(log.streams(options))
      }
    })
  })
  const library = libraryOn(server)
  const version = Effect.map(
    server.log.heads([{ libraryId: library.id, streamId: VERDANT }]),
    ([head]) => head!.version
  )
  return { server, library, writing, opening, admitting, version, timesOpened: () => timesOpened }
})

const syncsOf = ({ network }: VerdantClient) => network.sent.filter(({ type }) => type === "sync").length

/** Waits until a client polls again, which it does only if it was answered in time. */
const untilItPollsAgain = (client: VerdantClient) => {
  const before = syncsOf(client)
  return until(`${client.user} polls again`, () => syncsOf(client) > before + 1)
}

const syncedUpTo = (messages: ReadonlyArray<Message>): string | undefined =>
  messages.findLast(({ type }) => type === "sync-resp")?.["ackedTimestamp"] as string | undefined

// The tests run at once, because each spends most of its time waiting for a late answer.
describe.concurrent("a slow database", () => {
  it.live("a polling client continues to poll, and its write is stored once", () =>
    Effect.gen(function* () {
      const { library, writing } = yield* startSlowly
      const [a, b] = yield* openClients(["a", "b"], { library, transport: "pull" })
      const id = yield* a.put({ content: "before" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b])
      yield* a.goOffline
      yield* a.edit(id, (item) => item.get("tags").push("offline"))
      yield* writing.close
      yield* Effect.promise(async () => a.store.sync.start())
      yield* untilItPollsAgain(a)
      yield* a.edit(id, (item) => item.get("tags").push("slowly"))
      yield* writing.open
      yield* b.until("it has both", ([item]) => item?.tags.length === 2)
      yield* b.edit(id, (item) => item.set("content", "after"))
      yield* a.until("it goes on", ([item]) => item?.content === "after")
      const [item] = yield* untilSame([a, b])
      assert.deepStrictEqual(item?.tags, ["offline", "slowly"])
      assert.deepStrictEqual([a.resets(), a.restores()], [0, 0])
    })
  )

  it.live("peers learn that a user is present once that user's client has its first answer", () =>
    Effect.gen(function* () {
      const { library, writing } = yield* startSlowly
      const [peer, newcomer] = [makeReplica(), makeReplica()]
      const written = peer.operation("item/x", initialize({ id: "x" }))
      yield* post(library, yield* library.token({ userId: "a" }), [peer.sync({ operations: [written] })])
      const peers = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
      peers.send(peer.sync({ since: written.timestamp }))
      yield* peers.next("sync-resp")
      yield* writing.close
      const own = yield* connectVerdant(library, yield* library.token({ userId: "b" }))
      own.send(newcomer.presence({ at: "the door" }))
      // The server answers the heartbeat once it has taken the presence.
      yield* own.settled
      own.send(newcomer.sync({ resyncAll: true }))
      yield* peers.settled
      assert.notInclude(JSON.stringify(peers.messages), "the door")
      yield* writing.open
      const answer = yield* own.next("sync-resp")
      assert.isTrue(answer["overwriteLocalData"])
      assert.include(JSON.stringify(answer["peerPresence"]), "the door")
      yield* peers.next("presence-changed", (message) => JSON.stringify(message).includes("the door"))
    })
  )

  it.live(
    "a replica's operations are decided as they arrive, so a call of the app that comes later is decided later",
    () =>
      Effect.gen(function* () {
        const { library, server, writing } = yield* startSlowly
        const [replica, peer] = [makeReplica(), makeReplica()]
        const own = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
        const other = yield* connectVerdant(library, yield* library.token({ userId: "b" }))
        yield* registerReplica(own, replica)
        yield* registerReplica(other, peer)
        yield* writing.close
        for (const id of ["x", "y", "z"]) own.send(replica.op(replica.operation(`item/${id}`, initialize({ id }))))
        own.send(replica.presence({ at: "work" }))
        // The peer hears of the presence once the operations before it were taken.
        yield* other.next("presence-changed", (message) => JSON.stringify(message).includes("work"))
        assert.isFalse(own.messages.some(({ type }) => type === "server-ack"))
        const forced = yield* Effect.forkChild(server.libraries.forceTruant(library.id, ReplicaId.make(replica.id)))
        yield* writing.open
        assert.isTrue(yield* Fiber.join(forced))
        const info = yield* server.libraries.info(library.id)
        assert.strictEqual(info?.operations, 3)
        assert.isTrue(info?.replicas.find(({ id }) => id === replica.id)?.truant)
        yield* own.settled
        assert.lengthOf(
          own.messages.filter(({ type }) => type === "server-ack"),
          3
        )
      })
  )

  it.live("a new client that cannot be registered yet receives everything with its next poll", () =>
    Effect.gen(function* () {
      const { library, version, writing } = yield* startSlowly
      const [writer, reader] = [makeReplica(), makeReplica()]
      const written = writer.operation("item/x", initialize({ id: "x" }))
      yield* post(library, yield* library.token({ userId: "a" }), [writer.sync({ operations: [written] })])
      const before = yield* version
      yield* writing.close
      const token = yield* library.token({ userId: "b" })
      const slow = yield* post(library, token, [reader.sync({ resyncAll: true })])
      assert.deepStrictEqual(slow.messages, [])
      yield* writing.open
      yield* until(
        "it is registered",
        Effect.map(version, (version) => version > before)
      )
      const { messages } = yield* post(library, token, [reader.sync({ resyncAll: true })])
      const response = syncResponse({ messages })
      assert.isTrue(response?.["overwriteLocalData"])
      assert.include(JSON.stringify(response?.["operations"]), written.timestamp)
    })
  )

  it.live("a client that is admitted late continues to poll, and its library is opened once", () =>
    Effect.gen(function* () {
      const { admitting, library, opening, timesOpened } = yield* startSlowly
      yield* admitting.close
      yield* opening.close
      const a = yield* openClient({ library, user: "a", transport: "pull", offline: true })
      yield* a.put({ content: "written" })
      yield* Effect.promise(async () => a.store.sync.start())
      yield* untilItPollsAgain(a)
      assert.deepStrictEqual([timesOpened(), a.network.statuses[0]], [0, 503])
      yield* admitting.open
      yield* until("its library is being opened", () => timesOpened() > 0)
      yield* untilItPollsAgain(a)
      yield* opening.open
      const b = yield* openClient({ library, user: "b" })
      yield* b.until("it has the item", ([item]) => item?.content === "written")
      yield* untilSame([a, b])
      assert.strictEqual(timesOpened(), 1)
    })
  )

  it.live("a poll is answered without the database, and acknowledges nothing that is not stored", () =>
    Effect.gen(function* () {
      const { library, writing } = yield* startSlowly
      const token = yield* library.token({ userId: "a" })
      const replica = makeReplica()
      const listener = yield* connectVerdant(library, yield* library.token({ userId: "b" }))
      yield* registerReplica(listener, makeReplica())
      const begun = yield* post(library, token, [replica.sync({ resyncAll: true })])
      const since = syncedUpTo(begun.messages)
      assert.isDefined(since)

      yield* writing.close
      const first = replica.operation("item/x", initialize({ id: "x", n: 0 }))
      const second = replica.operation("item/x", set("n", 1))
      const third = replica.operation("item/x", set("n", 2))
      const brought = replica.sync({ since, operations: [first] })
      const slow = yield* post(library, token, [replica.presence({ n: 1 }), brought, replica.op(second)])
      const again = yield* post(library, token, [replica.sync({ since, operations: [first, second] })])
      for (const { messages, status } of [slow, again]) {
        assert.strictEqual(status, 200)
        assert.notInclude(
          messages.map(({ type }) => type),
          "server-ack"
        )
        assert.isUndefined(syncedUpTo(messages))
      }
      yield* listener.settled
      assert.isFalse(listener.messages.some(({ type }) => type === "op-re"))
      // The next poll is in flight while the operations of the first are being stored.
      const next = yield* Effect.forkChild(
        post(library, token, [replica.sync({ since, operations: [first, second, third] })])
      )
      yield* writing.open
      const last = yield* Fiber.join(next)
      assert.isDefined(syncedUpTo(last.messages))
      // The poll after the one that carried an operation acknowledges it.
      const after = yield* post(library, token, [replica.sync({ since: syncedUpTo(last.messages) })])
      assert.isTrue((syncedUpTo(after.messages) ?? "") > third.timestamp)
      yield* listener.next("op-re", (message) => JSON.stringify(message).includes(third.timestamp))
      const told = listener.messages.flatMap(({ type, operations }) =>
        type === "op-re" ? (operations as ReadonlyArray<{ readonly timestamp: string }>) : []
      )
      assert.deepStrictEqual(
        told.map(({ timestamp }) => timestamp),
        [first, second, third].map(({ timestamp }) => timestamp)
      )
    })
  )
})
