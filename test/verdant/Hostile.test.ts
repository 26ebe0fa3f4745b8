/** Messages that no Verdant client sends, and unusual ones that it may send. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { connectVerdant, post, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { documentSnapshot, libraryInfo } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, type Patch, ref, set } from "../support/verdant/Replica.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

/** Creates a complete item, as the schema requires. */
const whole = (id: string, fields: object = {}) =>
  initialize({
    id,
    content: "",
    done: false,
    tags: ref(`item/${id}:tags`),
    comments: null,
    counts: null,
    image: null,
    ...fields
  })

const replica = makeReplica()
const deep = `${'{"type":"sync","replicaId":"r","x":'.repeat(2000)}1${"}".repeat(2000)}`
const malformed: ReadonlyArray<string> = [
  "",
  "not json",
  "null",
  "7",
  '"text"',
  "[]",
  "{}",
  '{"type":null}',
  '{"type":"sync"}',
  '{"type":"op"}',
  '{"type":"op","replicaId":"r","timestamp":"t","operations":null}',
  '{"type":"op","replicaId":"__proto__","timestamp":"00010mwv7qwyu0000ap195df","operations":[null,7,"x",[],{}]}',
  '{"type":"ack","replicaId":"r","nonce":"not base64 \\u0000"}',
  '{"type":"ack","replicaId":"r","nonce":{"a":1}}',
  '{"type":"ack","replicaId":"r","timestamp":7}',
  '{"type":"presence-update"}',
  '{"type":"presence-update","replicaId":["r"],"presence":null}',
  '{"type":"disconnecting"}',
  '{"__proto__":{"type":"sync"}}',
  '{"type":"presence-update","replicaId":"r","presence":{"__proto__":{"polluted":true}}}',
  deep,
  JSON.stringify(replica.sync({ operations: "many", baselines: { length: 3 } })),
  JSON.stringify(replica.sync({ timestamp: "zzzz", since: "tomorrow" })),
  JSON.stringify(replica.sync({ since: { $gt: "" } })),
  JSON.stringify(replica.sync({ replicaId: "x".repeat(100_000) }))
]

describe("malformed messages", () => {
  it.live("a malformed message neither ends the server nor disturbs another client", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const a = yield* openClient({ library, user: "a" })
      const token = yield* library.token({ userId: "mallory" })
      for (const text of malformed) {
        const connection = yield* connectVerdant(library, token)
        yield* registerReplica(connection, makeReplica())
        connection.send(text)
        connection.sendBinary(new TextEncoder().encode(text))
        yield* until(
          "it is answered or disconnected",
          () => {
            if (connection.isOpen()) connection.send({ type: "heartbeat" })
            return !connection.isOpen() || connection.messages.some(({ type }) => type === "heartbeat-response")
          },
          () => text.slice(0, 100)
        )
        yield* connection.close
        for (const body of [text, `{"messages":[${text}]}`, `{"messages":${text}}`]) {
          const { status } = yield* post(library, token, body)
          // 503 means that the replica has to sync first.
          assert.isTrue([200, 400, 413, 503].includes(status), `${status} for ${body.slice(0, 100)}`)
        }
      }
      yield* a.put({ content: "undisturbed" })
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has the item", (items) => items.length === 1)
      assert.deepStrictEqual(contents(yield* untilSame([a, late])), ["undisturbed"])
      assert.strictEqual(a.network.connections(), 1)
    })
  )

  it.live("a user's polls are refused for a while after too many refused messages, and those of others are not", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const reader = yield* library.token({ userId: "reader", type: "read-only-pull" })
      const replica = makeReplica()
      const writes = Array.from({ length: 600 }, () => replica.op(replica.operation("item/x", initialize({}))))
      const first = yield* post(library, reader, writes)
      assert.deepStrictEqual([first.status, first.messages.length], [200, 600])
      const second = yield* post(library, reader, writes)
      assert.deepStrictEqual(
        [second.status, second.body, second.headers.get("retry-after")],
        [503, { code: 5030 }, "1"]
      )
      const writer = yield* library.token({ userId: "writer", type: "push" })
      assert.strictEqual((yield* post(library, writer, [makeReplica().sync()])).status, 200)
      assert.strictEqual((yield* post(library, reader, [replica.sync()])).status, 200)
      yield* until(
        "the reader's messages are refused one by one again",
        Effect.map(post(library, reader, writes.slice(0, 1)), ({ status }) => status === 200)
      )
    })
  )

  it.live("a polling client comes back after too many of its user's messages were refused", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const type = "read-only-pull"
      const reader = yield* openClient({ library, user: "reader", transport: "pull", type })
      const token = yield* library.token({ userId: "reader", type })
      const replica = makeReplica()
      const writes = Array.from({ length: 1100 }, () => replica.op(replica.operation("item/x", initialize({}))))
      yield* post(library, token, writes)
      const spend = Effect.forever(post(library, token, writes.slice(0, 5)))
      const others = yield* Effect.forkChild(Effect.all([spend, spend, spend], { concurrency: "unbounded" }))
      const refusals = () => reader.network.statuses.filter((status) => status !== 200)
      // A refused poll carries what it wrote before, until one is answered.
      const write = Effect.as(reader.put({ content: "without the right" }), undefined)
      yield* until(
        "its polls are refused",
        Effect.map(write, () => refusals().length > 5)
      )
      assert.deepStrictEqual([...new Set(refusals())], [503])
      yield* Fiber.interrupt(others)
      const writer = yield* openClient({ library, user: "writer" })
      yield* writer.put({ content: "written since" })
      yield* reader.until("it is up to date", (items) => contents(items).includes("written since"))
    })
  )

  it.live("the server ignores messages of an unknown type, and unknown fields", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
      const replica = makeReplica()
      connection.send({ type: "of-tomorrow", replicaId: replica.id })
      connection.send(replica.sync({ resyncAll: true, newField: { of: "tomorrow" } }))
      yield* connection.next("sync-resp")
      connection.send({ type: "sync-ack", replicaId: replica.id, timestamp: replica.now(), nonce: "x" })
      yield* connection.settled
      assert.isTrue(connection.isOpen())
    })
  )

  it.live("messages that arrive before the library is loaded are handled in order", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const replica = makeReplica()
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
      connection.send(replica.presence({}))
      connection.send(replica.sync({ resyncAll: true }))
      connection.send(replica.op(replica.operation("item/x", whole("x"))))
      connection.send({ type: "heartbeat" })
      yield* connection.next("heartbeat-response")
      const kinds = connection.messages.map(({ type }) => type).filter((type) => !/presence|global-ack/.test(type))
      assert.deepStrictEqual(kinds, ["sync-resp", "server-ack", "heartbeat-response"])
    })
  )
})

describe("operations by raw connections", () => {
  it.live("every kind of patch has the same result on the server and on a client", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const live = yield* openClient({ library, user: "live" })
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
      const replica = makeReplica()
      yield* registerReplica(connection, replica)
      const list = "item/x:tags"
      const comments = "item/x:comments"
      const [one, two] = ["item/x:c1", "item/x:c2"]
      const patches: ReadonlyArray<readonly [string, Patch]> = [
        [list, initialize([])],
        [one, initialize({ author: "a", text: "one" })],
        [two, initialize({ author: "a", text: "two" })],
        [comments, initialize([ref(one)])],
        ["item/x:counts", initialize({ gone: 1, kept: 2 })],
        ["item/x", whole("x", { comments: ref(comments), counts: ref("item/x:counts") })],
        ["item/x", set("content", "by hand")],
        ["item/x", { op: "touch" }],
        ["item/x:counts", { op: "remove", name: "gone" }],
        ...["a", "b", "c", "d", "b"].map((value) => [list, { op: "list-push", value }] as const),
        [list, { op: "list-insert", index: 1, value: "inserted" }],
        [list, { op: "list-insert", index: 0, values: ["x", "y"] }],
        [list, { op: "list-set", index: 0, value: "set" }],
        [list, { op: "list-delete", index: 1, count: 1 }],
        [list, { op: "list-move-by-index", from: 0, to: 2 }],
        [list, { op: "list-remove", value: "b", only: "last" }],
        [list, { op: "list-remove", value: "d" }],
        [list, { op: "list-add", value: "a" }],
        [list, { op: "list-add", value: "added" }],
        [comments, { op: "list-push", value: ref(two) }],
        [comments, { op: "list-move-by-ref", value: ref(two), index: 0 }],
        [comments, { op: "list-remove", value: ref(one), only: "first" }],
        [one, { op: "delete" }]
      ]
      for (const [oid, patch] of patches) connection.send(replica.op(replica.operation(oid, patch)))
      yield* until(
        "all of it is stored",
        () => connection.messages.filter(({ type }) => type === "server-ack").length === patches.length
      )
      const expected = {
        tags: ["a", "inserted", "set", "b", "c", "added"],
        comments: [{ author: "a", text: "two" }],
        counts: { kept: 2 },
        content: "by hand"
      }
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has the item", (items) => items.length === 1)
      const [item] = yield* untilSame([live, late])
      for (const document of [item, yield* documentSnapshot(server.database, library, "item", "x")]) {
        const { tags, comments, counts, content } = document ?? {}
        assert.deepStrictEqual({ tags, comments, counts, content }, expected)
      }
    })
  )

  it.live("a list item that the store replaces reaches a peer", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library })
      const id = yield* a.put({ tags: ["a", "b", "c"], comments: [{ author: "a", text: "old" }] })
      yield* a.edit(id, (item) => {
        item.get("tags").set(1, "replaced")
        item.get("comments").set(0, { author: "b", text: "new" })
      })
      assert.include(JSON.stringify(a.network.sent), '"list-set"')
      yield* b.until("it has the new one", ([item]) => item?.tags[1] === "replaced")
      const [item] = yield* untilSame([a, b])
      assert.deepStrictEqual(item?.tags, ["a", "replaced", "c"])
      assert.deepStrictEqual(item?.comments, [{ author: "b", text: "new" }])
    })
  )

  it.live("names such as __proto__ and constructor are ordinary ids and fields", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
      const replica = makeReplica("constructor")
      yield* registerReplica(connection, replica)
      for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
        connection.send(replica.op(replica.operation(`item/${name}`, whole(name))))
        connection.send(replica.op(replica.operation(`item/${name}`, set(name, { polluted: true }))))
        connection.send(replica.op(replica.operation(`${name}/${name}:${name}`, { op: "list-push", value: name })))
      }
      yield* connection.settled
      assert.isUndefined(({} as { polluted?: boolean }).polluted)
      const [one, two] = yield* openClients(["constructor", "__proto__"], { library, transport: "pull" })
      yield* one.put({ content: "undisturbed" })
      yield* two.until("it has the item", (items) => contents(items).includes("undisturbed"))
    })
  )

  it.live("an operation from a clock that is far ahead is withheld from every other client", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library })
      const id = yield* a.put({ content: "in time" })
      yield* b.until("it has the item", (items) => items.length === 1)
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "ahead" }))
      const replica = makeReplica()
      yield* registerReplica(connection, replica)
      const ahead = { oid: `item/${id}`, timestamp: replica.now(120_000), data: set("content", "tomorrow") }
      connection.send({ ...replica.op(ahead), timestamp: replica.now(120_000) })
      yield* connection.settled
      for (const client of [a, b]) yield* client.edit(id, (item) => item.get("tags").push(client.user))
      // A client that received it would stop: the store throws on a timestamp too far ahead.
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has both tags", ([item]) => item?.tags.length === 2)
      const [item] = yield* untilSame([a, b, late])
      assert.strictEqual(item?.content, "in time")
      for (const { network } of [a, b, late]) assert.notInclude(JSON.stringify(network.received), "tomorrow")
    })
  )

  it.live("a sync from a clock that is far ahead does not advance the watermark", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "a" })
      const replica = makeReplica()
      yield* post(library, token, [{ ...replica.sync({ resyncAll: true }), timestamp: replica.now(86_400_000) }])
      yield* post(library, token, [replica.op(replica.operation("item/x", whole("x")))])
      const info = yield* libraryInfo(server.database, library)
      assert.strictEqual(info?.operations, 1)
      assert.isNull(info?.watermark)
    })
  )

  it.live("operations that another replica restored are not stored twice when their author sends them again", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a" })
      const [one, other] = [makeReplica(), makeReplica()]
      const operations = [
        one.operation("item/x:tags", initialize([])),
        one.operation("item/x", whole("x")),
        one.operation("item/x:tags", { op: "list-push", value: "once" })
      ]
      // The other replica restores the library, and then the author returns.
      yield* post(library, token, [other.sync({ operations })])
      const begun = yield* post(library, token, [one.sync({ resyncAll: true })])
      const since = syncResponse(begun)?.["ackedTimestamp"]
      yield* post(library, token, [one.sync({ since })])
      const again = yield* post(library, token, [one.op(...operations)])
      assert.deepStrictEqual([again.status, again.body], [200, { messages: [] }])
      const client = yield* openClient({ library, user: "client" })
      yield* client.until("it has the item", (items) => items.length === 1)
      assert.deepStrictEqual((yield* client.documents())[0]?.tags, ["once"])
      const received = JSON.stringify(client.network.received.find(({ type }) => type === "sync-resp"))
      assert.lengthOf(received.match(/"once"/g) ?? [], 1)
    })
  )

  it.live("operations that a client acknowledged but lost before storing them are sent again", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a" })
      const [writer, reader] = [makeReplica(), makeReplica()]
      yield* post(library, token, [writer.sync({ operations: [writer.operation("item/x", whole("x"))] })])
      const begun = yield* post(library, token, [reader.sync({ resyncAll: true })])
      const first = syncResponse(begun)
      yield* post(library, token, [reader.ack({ nonce: first?.["ackThisNonce"] })])
      const since = first?.["ackedTimestamp"]
      yield* post(library, token, [writer.op(writer.operation("item/x", set("content", "must not be lost")))])

      const second = yield* post(library, token, [reader.sync({ since })])
      const response = syncResponse(second)
      assert.include(JSON.stringify(response), "must not be lost")
      yield* post(library, token, [reader.ack({ nonce: response?.["ackThisNonce"] })])
      // The client ended before it stored the answer, so its last sync is still the first one.
      const third = yield* post(library, token, [reader.sync({ since })])
      assert.include(JSON.stringify(third.messages), "must not be lost")
      const fourth = yield* post(library, token, [reader.sync({ since: response?.["ackedTimestamp"] })])
      assert.isDefined(syncResponse(fourth))
    })
  )
})
