/** Replicas that the server has not heard of for too long, and the resets of replicas. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { connectVerdant, post, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { forceTruant, libraryInfo } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, type Operation, set } from "../support/verdant/Replica.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

describe.each(["realtime", "pull"] as const)("truancy (%s)", (transport) => {
  it.live("a truant replica that missed operations is reset to the current state", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "before" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b])
      yield* b.goOffline
      yield* b.put({ content: "of b, offline" })
      yield* a.edit(id, (item) => item.set("content", "missed by b"))
      yield* untilSame([a])
      yield* forceTruant(server.database, library, yield* b.replicaId)
      const info = yield* libraryInfo(server.database, library)
      assert.strictEqual(info?.replicas.find(({ truant }) => truant)?.id, yield* b.replicaId)

      yield* b.goOnline
      yield* until("it is reset", () => b.resets() === 1)
      assert.deepStrictEqual(contents(yield* untilSame([a, b])), ["missed by b"])
      assert.strictEqual(a.resets(), 0)
      yield* b.put({ content: "of b, afterwards" })
      yield* a.until("it goes on", (items) => items.length === 2)
      yield* untilSame([a, b])
    })
  )

  it.live("a truant replica that missed nothing is not reset, and its offline changes are kept", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      yield* a.put({ content: "before" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b])
      yield* a.goOffline
      yield* b.goOffline
      yield* b.put({ content: "of b, offline" })
      yield* forceTruant(server.database, library, yield* b.replicaId)

      yield* b.goOnline
      yield* a.goOnline
      yield* a.until("it has both", (items) => items.length === 2)
      assert.deepStrictEqual(contents(yield* untilSame([a, b])), ["before", "of b, offline"])
      assert.strictEqual(b.resets(), 0)
    })
  )

  it.live("a reset contains everything, also uncompacted operations that the replica had received before", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      // The third client is offline but not truant, so the server may compact nothing.
      const [a, b, away] = yield* openClients(["a", "b", "away"], { library, transport })
      yield* away.goOffline
      for (const n of [1, 2, 3, 4, 5]) yield* a.put({ content: `k${n}` })
      yield* b.until("it has five", (items) => items.length === 5)
      yield* untilSame([a, b])
      yield* b.goOffline
      yield* a.put({ content: "k6" })
      yield* untilSame([a])
      yield* forceTruant(server.database, library, yield* b.replicaId)

      yield* b.goOnline
      yield* until("it is reset", () => b.resets() === 1)
      yield* b.until("it has all six", (items) => items.length === 6)
      assert.deepStrictEqual(contents(yield* untilSame([a, b])), ["k1", "k2", "k3", "k4", "k5", "k6"])
    })
  )
})

describe("truancy by time", () => {
  it.live("a replica that is silent for the configured time does not hold back the watermark", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant: { replicaTruancy: "500 millis", cursorInterval: "100 millis" } })
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library, transport: "pull" })
      const id = yield* a.put({ content: "before" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* b.goOffline
      yield* a.edit(id, (item) => item.set("content", "after"))
      const edited = a.network.sent.findLast(({ type }) => type === "op")?.["timestamp"] as string
      yield* until("the watermark passes what b has not seen", () =>
        a.network.received.some((message) => String(message["globalAckTimestamp"] ?? "") > edited)
      )
      yield* b.goOnline
      assert.strictEqual(b.resets(), 1)
      assert.deepStrictEqual(contents(yield* untilSame([a, b])), ["after"])
    })
  )
})

describe("a polling client that writes while it is reset", () => {
  it.live("a polling client receives its writes again that were stored during its reset", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a" })
      const [writer, replica] = [makeReplica(), makeReplica()]
      yield* post(library, token, [writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })])
      // Its requests overlap: it made the next one before the answer to this one has come.
      const reset = yield* post(library, token, [replica.sync({ resyncAll: true })])
      const response = syncResponse(reset)
      assert.strictEqual(response?.["overwriteLocalData"], true)
      const written = replica.operation("item/x", set("content", "written during the reset"))
      const { messages } = yield* post(library, token, [replica.op(written)])
      yield* post(library, token, [replica.ack({ nonce: response?.["ackThisNonce"] })])
      const also = replica.operation("item/x", set("name", "written after its acknowledgement"))
      const later = yield* post(library, token, [replica.op(also)])
      const next = yield* post(library, token, [replica.sync({ since: response?.["ackedTimestamp"] })])
      for (const operation of [written, also]) assert.include(JSON.stringify(next.messages), operation.timestamp)
      // Only a sync is acknowledged. Requests may overtake each other, so an op acknowledges nothing before it.
      assert.deepStrictEqual([...messages, ...later.messages], [])
      // A later sync carries the client's own operations, and the server stores them.
      const since = syncResponse(next)?.["ackedTimestamp"]
      const kept = replica.operation("item/x", set("content", "kept"))
      yield* post(library, token, [replica.sync({ since, operations: [kept] })])
      yield* post(library, token, [replica.op(replica.operation("item/x", set("name", "on and on")))])
      const client = yield* openClient({ library, user: "client" })
      yield* client.until("it has the stored write", (items) => items[0]?.content === "kept")
    })
  )
})

describe("a polling client that processes answers out of order", () => {
  it.live("a polling client is reset again if it processed an answer from before the reset last", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a" })
      const [writer, replica] = [makeReplica(), makeReplica()]
      yield* post(library, token, [writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })])
      const syncWith = (fields: object) =>
        Effect.map(post(library, token, [replica.sync(fields)]), ({ messages }) => syncResponse({ messages }))
      const old = replica.now()
      const reset = yield* syncWith({ resyncAll: true })
      const next = yield* syncWith({ since: reset?.["ackedTimestamp"] })
      assert.strictEqual(next?.["overwriteLocalData"], false)
      assert.strictEqual((yield* syncWith({ since: old }))?.["overwriteLocalData"], true)
    })
  )
})

describe("a polling client with several requests in flight", () => {
  it.live("a polling client is reset once, however many of its requests waited for a restore", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [restorer, replica] = [makeReplica(), makeReplica()]
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
      connection.send(restorer.sync({ since: restorer.now() }))
      yield* connection.next("need-since")

      const token = yield* library.token({ userId: "b" })
      const since = replica.now()
      const requests = [1, 2, 3, 4]
      const answers = yield* Effect.forEach(
        requests,
        Effect.fnUntraced(function* (n) {
          const answer = yield* Effect.forkScoped(
            post(library, token, [replica.presence({ n }), replica.sync({ since })])
          )
          // The request is there.
          yield* connection.next("presence-changed", (message) => JSON.stringify(message).includes(`{"n":${n}}`))
          return answer
        })
      )
      connection.send(restorer.sync({ operations: [restorer.operation("item/x", initialize({ id: "x" }))] }))
      const responses = (yield* Effect.forEach(answers, Fiber.join)).flatMap(({ messages }) =>
        messages.filter(({ type }) => type === "sync-resp")
      )
      assert.deepStrictEqual(
        responses.map((response) => response["overwriteLocalData"]),
        [true]
      )
    })
  )
})

describe("a connected client that writes before it has processed a reset", () => {
  it.live(
    "a connected client receives its own writes like those of others, also after a reconnect, until it has processed the reset",
    () =>
      Effect.gen(function* () {
        const library = libraryOn(yield* startServer())
        const token = yield* library.token({ userId: "a" })
        const [writer, replica] = [makeReplica(), makeReplica()]
        const first = writer.operation("item/x", initialize({ id: "x" }))
        yield* post(library, token, [writer.sync({ operations: [first] })])
        let connection = yield* connectVerdant(library, token)
        const isOf =
          ({ timestamp }: Operation) =>
          (message: object) =>
            JSON.stringify(message).includes(timestamp)

        const reset = yield* registerReplica(connection, replica)
        assert.strictEqual(reset["overwriteLocalData"], true)
        // The store (5.5) may send an operation after the reset that it had stored before it.
        const written = replica.operation("item/x", set("content", "written during the reset"))
        connection.send(replica.op(written))
        yield* connection.next("op-re", isOf(written))
        yield* connection.next("server-ack")
        connection.send(replica.ack({ nonce: reset["ackThisNonce"] }))
        yield* connection.settled
        yield* connection.close

        connection = yield* connectVerdant(library, token)
        connection.send(replica.sync({ since: reset["ackedTimestamp"] }))
        const missed = yield* connection.next("sync-resp", isOf(written))
        assert.strictEqual(missed["overwriteLocalData"], false)
        connection.send(replica.ack({ nonce: missed["ackThisNonce"] }))

        connection.send(replica.sync({ resyncAll: true }))
        const last = yield* connection.next("sync-resp", isOf(written))
        assert.strictEqual(last["overwriteLocalData"], true)
        connection.send(replica.ack({ nonce: last["ackThisNonce"] }))
        connection.send({ ...replica.ack({}), timestamp: written.timestamp })
        const after = replica.operation("item/x", set("content", "written afterwards"))
        connection.send(replica.op(after))
        yield* connection.next("server-ack")
        yield* connection.settled
        assert.isFalse(connection.messages.some((message) => message.type === "op-re" && isOf(after)(message)))
      })
  )
})

describe("a connected client that syncs twice", () => {
  it.live("a connected client is reset once, because the store (5.5) shuts itself down on a reset during a reset", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a" })
      const [writer, replica] = [makeReplica(), makeReplica()]
      yield* post(library, token, [writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })])
      const connection = yield* connectVerdant(library, token)
      for (const sync of [replica.sync({ resyncAll: true }), replica.sync({ resyncAll: true })]) connection.send(sync)
      yield* connection.settled
      const responses = connection.messages.filter(({ type }) => type === "sync-resp")
      assert.deepStrictEqual(
        responses.map((response) => response["overwriteLocalData"]),
        [true]
      )
      // Once the client has processed the reset, it may be reset again.
      const operations = responses[0]?.["operations"] as ReadonlyArray<Operation>
      connection.send({ ...replica.ack({}), timestamp: operations.at(-1)?.timestamp })
      connection.send(replica.sync({ resyncAll: true }))
      yield* connection.settled
      assert.lengthOf(
        connection.messages.filter(({ type }) => type === "sync-resp"),
        2
      )
    })
  )
})

describe("a client that connects while it may still store the answer to its poll", () => {
  const resetByPoll = Effect.gen(function* () {
    const library = libraryOn(yield* startServer())
    const token = yield* library.token({ userId: "a" })
    const [writer, replica] = [makeReplica(), makeReplica()]
    yield* post(library, token, [writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })])
    const reset = syncResponse(yield* post(library, token, [replica.sync({ resyncAll: true })]))
    assert.strictEqual(reset?.["overwriteLocalData"], true)
    const connection = yield* connectVerdant(library, token)
    connection.send(replica.sync({ resyncAll: true }))
    return { connection, library, replica, reset, token }
  })

  it.live("is asked for another sync, and not reset again once it has stored the answer", () =>
    Effect.gen(function* () {
      const { connection, replica, reset } = yield* resetByPoll
      const asked = yield* connection.next("need-since")
      assert.isNotNull(asked["since"])
      connection.send(replica.sync({ since: reset?.["ackedTimestamp"] }))
      const answer = yield* connection.next("sync-resp")
      assert.strictEqual(answer["overwriteLocalData"], false)
      assert.lengthOf(
        connection.messages.filter(({ type }) => type === "sync-resp"),
        1
      )
    })
  )

  it.live(
    "is not reset by a poll that it made before it stored the answer, and that arrives after its later sync",
    () =>
      Effect.gen(function* () {
        const { connection, library, replica, reset, token } = yield* resetByPoll
        const overtaken = replica.sync({ resyncAll: false })
        connection.send(replica.sync({ since: reset?.["ackedTimestamp"] }))
        assert.strictEqual((yield* connection.next("sync-resp"))["overwriteLocalData"], false)
        assert.isUndefined(syncResponse(yield* post(library, token, [overtaken])))
        const next = syncResponse(yield* post(library, token, [replica.sync({ since: reset?.["ackedTimestamp"] })]))
        assert.strictEqual(next?.["overwriteLocalData"], false)
      })
  )

  it.live("is reset over its connection if the answer to its poll was lost", () =>
    Effect.gen(function* () {
      const { connection, replica } = yield* resetByPoll
      const isAnswered = () => connection.messages.some(({ type }) => type === "sync-resp")
      while (!isAnswered()) {
        yield* Effect.race(connection.next("need-since"), connection.next("sync-resp"))
        if (!isAnswered()) connection.send(replica.sync({ resyncAll: true }))
      }
      const answer = connection.messages.find(({ type }) => type === "sync-resp")
      assert.strictEqual(answer?.["overwriteLocalData"], true)
    })
  )
})

describe("a device that lost its data", () => {
  it.live("a client that lost its data joins as a new replica, and receives everything", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      yield* a.put({ content: "kept" })
      yield* untilSame([a])
      yield* a.close
      const again = yield* openClient({ library, user: "a" })
      yield* again.until("it has it", (items) => items.length === 1)
      assert.notStrictEqual(yield* again.replicaId, yield* a.replicaId)
    })
  )
})
