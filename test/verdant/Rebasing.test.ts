/** When the server and its clients may compact history. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { documentSnapshot, libraryInfo } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import type { Message } from "../support/verdant/Network.ts"
import { initialize, makeReplica, set } from "../support/verdant/Replica.ts"
import { openClient, openClients, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

/** The server compacts as early as possible. */
const verdant = { cursorInterval: "100 millis", foldAfter: 1 } as const

const lastWrite = ({ network }: VerdantClient) =>
  String(network.sent.findLast(({ type }) => type === "op")?.["timestamp"])

/** Every watermark that a client received, in order. */
const watermarks = ({ network }: VerdantClient): ReadonlyArray<string> =>
  network.received.flatMap((message) => {
    const watermark = message.type === "global-ack" ? message["timestamp"] : message["globalAckTimestamp"]
    return typeof watermark === "string" ? [watermark] : []
  })

const untilWatermark = (client: VerdantClient, timestamp: string) =>
  until(
    `${client.user} received a watermark after its write`,
    () => watermarks(client).some((watermark) => watermark > timestamp),
    () => ({ timestamp, watermarks: watermarks(client).slice(-3) })
  )

describe("compaction", () => {
  it.live("an offline passive replica does not hold back compaction, and catches up later", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer({ verdant }))
      const [a, b] = yield* openClients(["a", "b"], { library })
      const passive = yield* openClient({ library, user: "passive", type: "passive-realtime" })
      const id = yield* a.put({ content: "shared" })
      for (const client of [b, passive]) yield* client.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b, passive])
      yield* passive.goOffline
      for (const n of [1, 2, 3, 4, 5, 6]) {
        yield* (n % 2 === 0 ? a : b).edit(id, (item) => item.get("tags").push(`tag ${n}`))
        yield* untilSame([a, b])
      }
      const written = lastWrite(b)
      // The next operation of each promises that it writes nothing older.
      for (const client of [a, b]) yield* client.edit(id, (item) => item.set("content", `of ${client.user}`))
      yield* untilWatermark(a, written)
      yield* until(
        "the client has compacted",
        Effect.promise(async () => (await a.store.stats()).meta.operationsSize.count < 5)
      )
      yield* passive.goOnline
      const [item] = yield* untilSame([a, b, passive])
      assert.strictEqual(item?.tags.length, 6)
      yield* passive.edit(id, (item) => item.get("tags").push("of the passive one"))
      yield* a.until("it has the tag", ([item]) => item?.tags.length === 7)
      yield* untilSame([a, b, passive])
    })
  )

  it.live("offline operations are compacted only after every replica has received them", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant })
      const library = libraryOn(server)
      const [a, b, c] = yield* openClients(["a", "b", "c"], { library })
      const id = yield* a.put({ content: "shared" })
      for (const client of [b, c]) yield* client.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b, c])
      yield* c.goOffline
      yield* c.edit(id, (item) => {
        item.set("content", "of c, offline")
        item.get("tags").push("of c, offline")
      })
      for (const n of [1, 2, 3, 4]) {
        yield* (n % 2 === 0 ? a : b).edit(id, (item) => {
          item.set("content", `version ${n}`)
          item.get("tags").push(`tag ${n}`)
        })
        yield* untilSame([a, b])
      }
      yield* c.goOnline
      yield* a.until("it has the tag of c", ([item]) => item?.tags.includes("of c, offline") === true)
      const [item] = yield* untilSame([a, b, c])
      assert.strictEqual(item?.content, "version 4")
      assert.deepStrictEqual(item?.tags, ["of c, offline", "tag 1", "tag 2", "tag 3", "tag 4"])
      const written = lastWrite(a)
      for (const client of [a, b, c]) yield* client.edit(id, (item) => item.set("done", client === b))
      yield* untilWatermark(a, written)
      yield* until(
        "the server has compacted",
        Effect.map(libraryInfo(server.database, library), (info) => info !== undefined && info.operations <= 3)
      )
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has the item", (items) => items.length === 1)
      const [compacted] = yield* untilSame([a, b, c, late])
      assert.deepStrictEqual(compacted?.tags, ["of c, offline", "tag 1", "tag 2", "tag 3", "tag 4"])
      assert.strictEqual(compacted?.content, "version 4")
    })
  )

  it.live("an older operation that arrives late does not overwrite a newer one", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant })
      const library = libraryOn(server)
      const [a, b, c] = [makeReplica(), makeReplica(), makeReplica()]
      const connect = (user: string) =>
        Effect.flatMap(library.token({ userId: user }), (token) => connectVerdant(library, token))
      const [ofA, ofB, ofC] = [yield* connect("a"), yield* connect("b"), yield* connect("c")]
      yield* registerReplica(ofA, a)
      ofA.send(a.op(a.operation("item/x", initialize({ id: "x", content: "start" }))))
      yield* ofA.next("server-ack")
      const [syncB, syncC] = [b.sync({ resyncAll: true }), c.sync({ resyncAll: true })]
      ofB.send(syncB)
      ofB.send(b.ack({ nonce: (yield* ofB.next("sync-resp"))["ackThisNonce"] }))
      ofC.send(syncC)
      const lastSyncOfC = yield* ofC.next("sync-resp")
      ofC.send(c.ack({ nonce: lastSyncOfC["ackThisNonce"] }))
      yield* ofC.settled
      yield* ofC.close

      const earlier = c.operation("item/x", set("content", "X, earlier"))
      yield* until("the clock has gone on", () => a.now().slice(0, 13) > earlier.timestamp.slice(0, 13))
      const later = a.operation("item/x", set("content", "Y, later"))
      ofA.send(a.op(later))
      yield* ofA.next("server-ack")
      yield* ofB.next("op-re")
      ofB.send(b.ack({ timestamp: later.timestamp }))

      // c returns with its older operation, and has received everything. The others receive it, but do not acknowledge yet.
      const again = yield* connect("c")
      again.send(c.sync({ since: lastSyncOfC["ackedTimestamp"], operations: [earlier] }))
      again.send(c.ack({ nonce: (yield* again.next("sync-resp"))["ackThisNonce"] }))
      yield* again.settled
      for (const client of [ofA, ofB]) yield* client.next("op-re")
      const writeOn = Effect.gen(function* () {
        for (const value of [1, 2, 3]) {
          ofA.send(a.op(a.operation("item/x", set("count", value))))
          yield* ofA.next("server-ack")
          yield* ofA.settled
        }
      })
      const isRight = Effect.gen(function* () {
        assert.strictEqual((yield* documentSnapshot(server.database, library, "item", "x"))?.["content"], "Y, later")
        const late = yield* openClient({ library, user: "late", transport: "pull" })
        yield* late.until("it has the item", (items) => items.length === 1)
        assert.strictEqual((yield* late.documents())[0]?.["content"], "Y, later")
        yield* late.close
      })
      yield* writeOn
      yield* isRight
      // Now every replica acknowledges it.
      for (const [client, replica] of [
        [ofA, a],
        [ofB, b],
        [again, c]
      ] as const) {
        yield* client.settled
        const last = client.messages.findLast(({ type }) => type === "op-re") as Message
        const operations = last["operations"] as ReadonlyArray<{ readonly timestamp: string }>
        client.send(replica.ack({ timestamp: operations.at(-1)?.timestamp }))
        yield* client.settled
      }
      yield* writeOn
      yield* isRight
    })
  )
})

describe("the watermark", () => {
  it.live("each client receives the watermark once per advance, and never backwards", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer({ verdant }))
      const clients = yield* openClients(["a", "b", "c", "d", "e"], { library })
      const [a] = clients
      const id = yield* a.put({ content: "shared" })
      for (const client of clients) yield* client.until("it has the item", (items) => items.length === 1)
      const before = clients.map(({ network }) => network.received.length)
      const OPERATIONS = 10
      for (let n = 0; n < OPERATIONS; n++) {
        yield* a.edit(id, (item) => item.set("content", `version ${n}`))
        for (const client of clients) {
          yield* client.until("it has it", ([item]) => item?.content === `version ${n}`)
        }
      }
      const written = lastWrite(a)
      for (const client of clients) yield* client.edit(id, (item) => item.set("done", client === a))
      yield* untilSame(clients)
      for (const client of clients) yield* untilWatermark(client, written)
      for (const [i, client] of clients.entries()) {
        const given = client.network.received.slice(before[i]).filter(({ type }) => type === "global-ack")
        assert.isAtMost(given.length, 2 * (OPERATIONS + clients.length))
        const all = watermarks(client)
        assert.deepStrictEqual(all, all.toSorted())
      }
    })
  )

  it.live("a reader of many small writes receives little besides the operations", () =>
    Effect.gen(function* () {
      const INTERVAL = 1000
      const library = libraryOn(yield* startServer({ verdant: { cursorInterval: INTERVAL } }))
      const [writing, reading] = [makeReplica(), makeReplica()]
      const writer = yield* connectVerdant(library, yield* library.token({ userId: "writer" }))
      const reader = yield* connectVerdant(library, yield* library.token({ userId: "reader" }))
      writer.send(writing.sync({ operations: [writing.operation("item/x", initialize({ id: "x" }))] }))
      yield* writer.next("sync-resp")
      const { ackThisNonce: nonce } = yield* registerReplica(reader, reading)
      reader.send(reading.ack({ nonce }))
      yield* reader.settled

      const OPERATIONS = 500
      const operations = Array.from({ length: OPERATIONS }, (_, n) => writing.operation("item/x", set("n", n)))
      const begun = performance.now()
      const before = reader.messages.length
      for (const operation of operations) writer.send(writing.op(operation))
      let acknowledged = before
      const told = () => reader.messages.slice(before).filter(({ type }) => type === "op-re")
      yield* until("the reader has all", () => {
        for (; acknowledged < reader.messages.length; acknowledged++) {
          const { operations, type } = reader.messages[acknowledged]!
          const last = (operations as ReadonlyArray<{ readonly timestamp: string }> | undefined)?.at(-1)
          if (type === "op-re") reader.send(reading.ack({ timestamp: last?.timestamp }))
        }
        return told().flatMap(({ operations }) => operations).length === OPERATIONS
      })
      // A last message of each replica, after which everything before it may be compacted.
      const last = writing.operation("item/x", set("n", -1))
      writer.send(writing.op(last))
      yield* reader.next("op-re", (message) => JSON.stringify(message).includes(last.timestamp))
      reader.send(reading.ack({ timestamp: reading.now() }))
      yield* reader.next("global-ack", ({ timestamp }) => String(timestamp) > operations.at(-1)!.timestamp)

      const intervals = Math.ceil((performance.now() - begun) / INTERVAL)
      const given = reader.messages.slice(before).filter(({ type }) => type === "global-ack")
      assert.isAtMost(given.length, intervals + 1)
      assert.strictEqual(reader.messages.length - before, OPERATIONS + 1 + given.length)
      const bytes = (messages: ReadonlyArray<object>) => JSON.stringify(messages).length
      assert.isBelow(bytes(reader.messages.slice(before)), 2.5 * bytes(operations))
    })
  )
})

/** A store that has never synced compacts everything it has, and then ignores older operations for ever. */
describe.each([
  ["realtime", 5],
  ["pull", 5],
  ["realtime", 3]
] as const)("a new client (%s, store %i)", (transport, version) => {
  it.live(
    "a new client keeps operations that were written before it joined and arrive afterwards, also after it reopens",
    () =>
      Effect.gen(function* () {
        const library = libraryOn(yield* startServer())
        const [a, b] = yield* openClients(["a", "b"], { library, transport })
        const id = yield* a.put({ content: "shared" })
        yield* b.until("it has the item", (items) => items.length === 1)
        yield* untilSame([a, b])
        yield* b.goOffline
        for (const n of [1, 2, 3]) yield* b.edit(id, (item) => item.get("tags").push(`offline ${n}`))
        yield* a.edit(id, (item) => item.get("tags").push("online"))
        yield* untilSame([a])
        const newcomer = yield* openClient({ library, user: "newcomer", transport, version })
        yield* newcomer.until("it has the item", ([item]) => item?.tags.length === 1)
        yield* b.goOnline
        yield* newcomer.until("it has the late operations", ([item]) => item?.tags.length === 4)
        const items = yield* untilSame([a, b, newcomer])
        yield* newcomer.goOffline
        yield* newcomer.close
        const { device } = newcomer
        const again = yield* openClient({ library, user: "newcomer", device, version, offline: true })
        assert.deepStrictEqual(yield* again.documents(), items)
      })
  )
})
