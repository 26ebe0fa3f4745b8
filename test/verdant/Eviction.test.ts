/** Clients restore a library that an administrator has evicted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectVerdant, post, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { evict, libraryInfo } from "../support/verdant/admin.ts"
import { FLAT } from "../support/verdant/changes.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"
import { contents, openClient, openClients, untilRestored, untilSame } from "../support/verdant/VerdantClient.ts"

describe.each(["realtime", "pull"] as const)("eviction (%s)", (transport) => {
  it.live("the first replica that returns to an evicted library restores it, and later ones are reset", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [a, b, c] = yield* openClients(["a", "b", "c"], { library, transport })
      yield* a.put({ content: "from a" })
      yield* b.put({ content: "from b" })
      yield* c.until("it has both", (items) => items.length === 2)
      yield* untilSame([a, b, c])
      for (const client of [a, b, c]) yield* client.goOffline
      yield* a.put({ content: "from a, offline" })
      yield* b.put({ content: "from b, offline" })
      yield* evict(server.database, library)

      yield* a.goOnline
      yield* until("it is restored", () => a.restores() === 1)
      yield* b.goOnline
      yield* c.goOnline
      const items = yield* untilSame([a, b, c])
      assert.deepStrictEqual(contents(items), ["from a", "from a, offline", "from b"])
      assert.deepStrictEqual([a.resets(), b.resets(), c.resets()], [0, 1, 1])
      assert.strictEqual(b.restores() + c.restores(), 0)

      yield* c.put({ content: "from c, afterwards" })
      yield* a.until("it goes on", (items) => items.length === 4)
      yield* untilSame([a, b, c])
    })
  )

  it.live("connected clients restore an evicted library, and a new replica receives everything", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      yield* a.put({ content: "from a" })
      yield* b.put({ content: "from b" })
      yield* untilSame([a, b])
      yield* a.until("it has both", (items) => items.length === 2)
      yield* evict(server.database, library)
      // A client that does not know of the eviction yet is reset, and loses what it writes until then.
      for (const client of [a, b]) {
        yield* until(`${client.user} has restored it or was reset`, () => client.restores() + client.resets() > 0)
      }
      assert.isAbove(a.restores() + b.restores(), 0)
      const late = yield* openClient({ library, user: "late", transport })
      yield* late.until("it has both", (items) => items.length === 2)
      assert.deepStrictEqual(contents(yield* untilSame([a, b, late])), ["from a", "from b"])
      yield* b.put({ content: "from b, afterwards" })
      yield* late.until("it goes on", (items) => items.length === 3)
      yield* untilSame([a, b, late])
    })
  )

  it.live("a restore includes operations that were not sent before the eviction", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport })
      const id = yield* a.put({ content: "stored" })
      yield* untilSame([a])
      a.network.cut()
      yield* a.edit(id, (item) => item.get("tags").push("while the network was down"))
      yield* a.put({ content: "while the network was down" })
      yield* evict(server.database, library)
      a.network.mend()
      yield* untilRestored(a)
      const b = yield* openClient({ library, user: "b", transport })
      yield* b.until("it has both", (items) => items.length === 2)
      const items = yield* untilSame([a, b])
      assert.deepStrictEqual(contents(items), ["stored", "while the network was down"])
      assert.deepStrictEqual(items.find((item) => item.id === id)?.tags, ["while the network was down"])
    })
  )

  it.live("a restore that is cut off starts again, and nothing is lost", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport })
      for (const content of ["one", "two", "three"]) yield* a.put({ content })
      yield* untilSame([a])
      const cutOff = a.store.sync.subscribe("serverReset", () => a.network.cut())
      yield* evict(server.database, library)
      yield* until("it is cut off when the server asks for its data", () => a.restores() === 1 && !a.isOnline())
      cutOff()
      a.network.mend()
      const b = yield* openClient({ library, user: "b", transport })
      yield* b.until("it has all three", (items) => items.length === 3)
      assert.deepStrictEqual(contents(yield* untilSame([a, b])), ["one", "three", "two"])
    })
  )

  it.live("a client uploads its files again after a restore", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport })
      const id = yield* a.put({ image: new File(["the picture"], "picture.txt", { type: "text/plain" }) })
      yield* until("the file is uploaded", () => a.network.uploads() === 1)
      yield* evict(server.database, library)
      yield* untilRestored(a)
      // The store uploads files again when it comes online.
      a.network.cut()
      yield* until("it is offline", () => !a.isOnline())
      a.network.mend()
      yield* until("the file is uploaded again", () => a.network.uploads() === 2)
      const b = yield* openClient({ library, user: "b", transport })
      yield* b.until("it has the item", (items) => items.length === 1)
      const image = (yield* b.entity(id)).get("image")
      yield* until(
        "it knows where the file is",
        () => typeof image.url === "string",
        () => image.getSnapshot()
      )
      assert.strictEqual(image.name, "picture.txt")
    })
  )
})

describe("a replica of an evicted library", () => {
  it.live("is its user's: another user's sync is forbidden and changes nothing, and the user comes back", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const replica = makeReplica()
      const sync = replica.sync({ operations: [replica.operation("item/x", initialize({ id: "x" }))] })
      const token = yield* library.token({ userId: "owner" })
      assert.strictEqual((yield* post(library, token, [sync])).messages[0]?.type, "sync-resp")
      yield* evict(server.database, library)

      const forSocket = yield* library.token({ userId: "reader", type: "read-only" })
      const socket = yield* connectVerdant(library, forSocket)
      for (const message of [replica.sync(), replica.sync({ since: replica.now() }), replica.presence({})]) {
        socket.send(message)
        yield* socket.next("forbidden")
      }
      const reader = yield* library.token({ userId: "reader", type: "read-only-pull" })
      const polled = yield* post(library, reader, [replica.sync({ resyncAll: true })])
      assert.deepStrictEqual(
        polled.messages.map(({ type }) => type),
        ["forbidden"]
      )
      assert.strictEqual(yield* libraryInfo(server.database, library), undefined)

      const answer = yield* post(library, token, [sync])
      assert.strictEqual(syncResponse(answer)?.type, "sync-resp")
      const info = yield* libraryInfo(server.database, library)
      assert.deepStrictEqual(
        info?.replicas.map(({ id, userId }) => ({ id, userId })),
        [{ id: replica.id, userId: "owner" }]
      )
    })
  )
})

describe("a polling client whose library is evicted before it can have stored its last answer", () => {
  it.live("the server asks for the client's data only once it can have stored that answer", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "a" })
      const [writer, replica] = [makeReplica(), makeReplica()]
      const typesFor = (...messages: ReadonlyArray<object>) =>
        Effect.map(post(library, token, messages), ({ messages }) => messages.map(({ type }) => type))
      yield* typesFor(writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] }))
      // Like the store (5.5), it stores this answer only after its acknowledgement is answered.
      assert.deepStrictEqual(yield* typesFor(replica.sync({ resyncAll: true })), ["sync-resp", "server-ack"])
      yield* evict(server.database, library)
      const since = replica.now()
      assert.deepStrictEqual(yield* typesFor(replica.sync({ since })), [])
      yield* until(
        "the server asks for its data",
        Effect.map(typesFor(replica.sync({ since })), (types) => types.includes("need-since"))
      )
    })
  )
})

describe("a connection to a library that is evicted", () => {
  it.live("stays open if its client has not synced yet, because it was sent nothing of the library", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "a" })
      const [synced, early] = [yield* connectVerdant(library, token), yield* connectVerdant(library, token)]
      const [writer, replica] = [makeReplica(), makeReplica()]
      synced.send(writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] }))
      yield* synced.next("sync-resp")
      yield* early.settled
      yield* evict(server.database, library)
      assert.strictEqual((yield* synced.closed).code, 1001)
      early.send(replica.sync({ since: replica.now() }))
      yield* early.next("need-since")
      early.send(replica.sync({ operations: [replica.operation("item/y", initialize({ id: "y" }))] }))
      assert.strictEqual((yield* early.next("sync-resp"))["overwriteLocalData"], false)
    })
  )

  it.live("asks a client once for its data, also if the client syncs twice before it sends them", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "a" })
      const replica = makeReplica()
      const earlier = yield* connectVerdant(library, token)
      yield* registerReplica(earlier, replica)
      earlier.send(replica.op(replica.operation("item/x", initialize({ id: "x" }))))
      yield* earlier.next("server-ack")
      yield* evict(server.database, library)
      yield* earlier.closed
      // The store (5.5) does so if an earlier connection ends before its first message.
      const connection = yield* connectVerdant(library, token)
      const since = replica.now()
      connection.send(replica.sync({ since }))
      connection.send(replica.sync({ since }))
      yield* connection.settled
      const asked = connection.messages.filter(({ type }) => type === "need-since")
      assert.lengthOf(asked, 1)
      connection.send(replica.sync({ operations: [replica.operation("item/x", initialize({ id: "x" }))] }))
      assert.strictEqual((yield* connection.next("sync-resp"))["overwriteLocalData"], false)
    })
  )
})

describe("two replicas that restore an evicted library at once", () => {
  it.live.each([
    ["realtime", "realtime"],
    ["pull", "pull"],
    ["realtime", "pull"]
  ] as const)("one by %s and one by %s lose neither operations nor baselines", ([one, other]) =>
    Effect.gen(function* () {
      // The interval is longer than the time for which clients batch changes.
      const server = yield* startServer({ verdant: { cursorInterval: "300 millis", foldAfter: 1 } })
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport: one })
      const b = yield* openClient({ library, user: "b", transport: other })
      const clients = [a, b]
      for (const client of clients) yield* client.put({ id: `of ${client.user}, compacted` }, { collection: FLAT })
      for (const client of clients) yield* client.until("it has both", (documents) => documents.length === 2, FLAT)
      for (const client of clients) yield* client.put({ id: `of ${client.user}` }, { collection: FLAT })
      for (const client of clients) yield* client.until("it has all", (documents) => documents.length === 4, FLAT)
      for (const client of clients) {
        yield* until(
          `${client.user} has compacted something`,
          Effect.promise(async () => (await client.store.stats()).meta.baselinesSize.count > 0)
        )
      }
      yield* untilSame(clients, FLAT)
      for (const client of clients) yield* client.goOffline
      const before = yield* a.documents(FLAT)
      assert.lengthOf(before, 4)
      yield* evict(server.database, library)
      yield* Effect.forEach(clients, (client) => client.goOnline, { concurrency: 2 })
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has all", (documents) => documents.length === 4, FLAT)
      for (const client of clients) {
        yield* until(`${client.user} has restored it or was reset`, () => client.restores() + client.resets() > 0)
      }
      assert.deepStrictEqual(yield* untilSame([a, b, late], FLAT), before)
      assert.lengthOf(
        clients.filter((client) => client.restores() > 0),
        1
      )
      yield* b.put({ id: "of b, afterwards" }, { collection: FLAT })
      yield* late.until("it goes on", (documents) => documents.length === 5, FLAT)
      yield* untilSame([a, b, late], FLAT)
    })
  )
})
