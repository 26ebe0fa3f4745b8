/** Changes that the app makes to documents, as real clients see them. */
import { assert, describe, it } from "@effect/vitest"
import { replay } from "@sealog/server/admin/Replay"
import type { LibraryId } from "@sealog/server/domain/Ids"
import type { DocumentChange } from "@sealog/server/domain/verdant/DocumentChange"
import { VerdantLibraries } from "@sealog/server/protocols/verdant/VerdantLibraries"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { Array, Context, Effect, Fiber, Layer, Stream } from "effect"
import { type ServerOnDatabase, startServer } from "../support/servers/TestServer.ts"
import { layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryInfo } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { onlyUser } from "../support/verdant/Replica.ts"
import { openClient, openClients, untilRestored, untilSame } from "../support/verdant/VerdantClient.ts"

const updateItem = ({ libraries }: ServerOnDatabase, { id }: Library, item: string, change: DocumentChange | null) =>
  Effect.orDie(libraries.update(id, "item", item, change))

/** Another process, as far as the log can tell: it has its own connections. */
const startWorker = Effect.fnUntraced(function* (database: string) {
  const layer = VerdantLibraries.layerWithoutServer().pipe(Layer.provideMerge(layerOf(database)))
  return Context.get(yield* Effect.orDie(Layer.build(layer)), VerdantLibraries)
})

const problemsOf = ({ database }: ServerOnDatabase) =>
  replay().pipe(
    Effect.provide([Signatures.layerInline, layerOf(database)]),
    Effect.map(({ problems }) => problems),
    Effect.orDie
  )

/** All fields of an item: the server knows no defaults. */
const item = (id: string, fields: object = {}) => ({
  ...{ id, content: "", done: false, tags: [], comments: [], counts: {}, image: null },
  ...fields
})

describe.each(["realtime", "pull"] as const)("a document that the server changes (%s)", (transport) => {
  it.live("reaches clients at once, those that were away when they come back, and older stores", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [ada, bob] = yield* openClients(["ada", "bob"], { library, transport })
      const old = yield* openClient({ user: "old", library, transport, version: 3 })
      const id = yield* ada.put({ content: "from a client", tags: ["a"] })
      yield* untilSame([ada, bob, old])
      yield* bob.goOffline

      const comments = [{ author: "server", text: "hello" }]
      assert.isTrue(yield* updateItem(server, library, id, { set: { content: "from the server", tags: ["a", "b"] } }))
      assert.isTrue(yield* updateItem(server, library, "made", { set: item("made", { comments, counts: { n: 1 } }) }))
      yield* ada.until("both are there", (items) =>
        ["from the server", ""].every((text) => items.some(({ content }) => content === text))
      )
      yield* bob.goOnline
      const items = yield* untilSame([ada, bob, old])
      assert.deepStrictEqual(
        items.find(({ id }) => id === "made"),
        item("made", { comments, counts: { n: 1 } })
      )
      assert.deepStrictEqual(items.find((item) => item.id === id)?.tags, ["a", "b"])

      const many = Array.makeBy(1500, (n) => `tag ${n}`)
      for (const tags of [many, many.toReversed()]) {
        assert.isTrue(yield* updateItem(server, library, id, { set: { tags } }))
        yield* ada.until("the tags are there", (items) =>
          items.some((item) => item.tags.length === tags.length && item.tags[0] === tags[0])
        )
        const items = yield* untilSame([ada, bob, old])
        assert.deepStrictEqual(items.find((item) => item.id === id)?.tags, tags)
      }

      // Clients go on with what the server made.
      yield* bob.edit("made", (made) => made.get("comments").get(0).set("text", "changed"))
      yield* ada.until("it is changed", (items) => items.some(({ comments }) => comments[0]?.text === "changed"))
      yield* updateItem(server, library, "made", { set: { comments: [], counts: { m: 2 } }, remove: [["counts", "n"]] })
      yield* bob.until("it is changed", (items) => items.some(({ counts }) => JSON.stringify(counts) === '{"m":2}'))
      assert.isTrue(yield* updateItem(server, library, "made", null))
      yield* bob.until("it is gone", (items) => items.length === 1)
      yield* untilSame([ada, bob, old])

      const again = yield* openClient({ user: "again", library, transport })
      yield* untilSame([ada, again])
      for (const client of [ada, bob, old]) assert.isFalse(client.hasFailed())
      assert.deepStrictEqual([ada.resets(), bob.resets()], [0, 0])
      assert.deepStrictEqual(yield* problemsOf(server), [])
    })
  )

  it.live("keeps what a client wrote at the same time: the later of two values, and both items of a list", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [ada, bob] = yield* openClients(["ada", "bob"], { library, transport })
      const id = yield* ada.put({ content: "first" })
      yield* untilSame([ada, bob])
      yield* ada.goOffline
      yield* ada.edit(id, (item) => {
        item.set("content", "offline, earlier")
        item.set("done", true)
        item.get("tags").push("of the client")
      })
      // Within a millisecond, a count decides which of two values is the later one.
      const edited = Date.now()
      yield* until("a millisecond has passed", () => Date.now() > edited)
      yield* updateItem(server, library, id, { set: { content: "of the server", tags: ["of the server"] } })
      yield* bob.until("it has the server's", ([item]) => item?.content === "of the server")
      yield* ada.goOnline
      const [merged] = yield* untilSame([ada, bob])
      assert.deepInclude(merged, { content: "of the server", done: true })
      assert.sameMembers([...(merged?.tags ?? [])], ["of the client", "of the server"])
      yield* ada.edit(id, (item) => item.set("content", "later"))
      yield* bob.until("the later one is there", ([item]) => item?.content === "later")
      yield* untilSame([ada, bob])
    })
  )
})

describe("the server as a writer", () => {
  it.live("keeps a private document private", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [ada, bob] = yield* openClients(["ada", "bob"], { library })
      const id = yield* ada.put({ content: "of ada" }, { access: onlyUser("ada") })
      yield* untilSame([ada])
      yield* until("it is stored", () => ada.isSettled())
      yield* updateItem(server, library, id, { set: { tags: ["secret"] } })
      yield* updateItem(server, library, "letter", { set: item("letter"), onlyUser: "ada" })
      yield* updateItem(server, library, "notice", { set: item("notice") })
      yield* ada.until("all are there", (items) => items.length === 3 && items.some(({ tags }) => tags[0] === "secret"))
      yield* bob.until("the notice is there", (items) => items.length === 1)
      assert.notInclude(JSON.stringify(bob.network.received), "secret")
      assert.notInclude(JSON.stringify(bob.network.received), "letter")
    })
  )

  it.live("is no replica: nothing waits for it, and nothing resets it", () =>
    Effect.gen(function* () {
      const verdant = { foldAfter: 1, cursorInterval: "200 millis", replicaTruancy: "1 second" } as const
      const server = yield* startServer({ verdant })
      const library = libraryOn(server)
      const ada = yield* openClient({ user: "ada", library })
      const id = yield* ada.put({ content: "first" })
      yield* untilSame([ada])
      for (const round of Array.range(1, 3)) {
        assert.isTrue(yield* updateItem(server, library, id, { set: { content: `server ${round}` } }))
        yield* ada.until("the change is there", ([item]) => item?.content === `server ${round}`)
        // The watermark passes the server's operations by what the client promises.
        yield* ada.edit(id, (item) => item.get("tags").push(`ada ${round}`))
        yield* until(
          "all but the newest is compacted",
          Effect.map(libraryInfo(server.database, library), (info) => (info?.operations ?? 9) <= 1)
        )
      }
      const info = yield* libraryInfo(server.database, library)
      assert.deepStrictEqual(
        info?.replicas.map(({ userId }) => userId),
        ["ada"]
      )
      assert.strictEqual(ada.resets(), 0)
      assert.deepStrictEqual(yield* problemsOf(server), [])
    })
  )

  it.live("writes from several processes at once, and no write is lost", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const ada = yield* openClient({ user: "ada", library })
      const id = yield* ada.put({ content: "first" })
      yield* untilSame([ada])
      const others = yield* Effect.forEach(Array.range(1, 2), () => startWorker(server.database))
      const writers = [server.libraries, ...others]
      const before = (yield* libraryInfo(server.database, library))?.version ?? 0
      const changes = Stream.take(server.libraries.changes(library.id, before), 12)
      const heard = yield* Effect.forkChild(Stream.runCollect(changes))
      yield* Effect.forEach(
        writers,
        (libraries, n) =>
          // The writers share one thread: a writer that waits for the file holds up the other, and then gives up.
          Effect.forEach(Array.range(1, 4), (round) =>
            libraries
              .update(library.id as LibraryId, "item", id, { set: { counts: { [`${n}-${round}`]: 1 } } })
              .pipe(Effect.retry({ while: ({ _tag }) => _tag === "StorageUnavailable" }), Effect.orDie)
          ),
        { concurrency: "unbounded" }
      )
      yield* ada.edit(id, (item) => item.set("content", "afterwards"))
      yield* ada.until("all are there", ([item]) => Object.keys(item?.["counts"] as object).length === 12)
      const written = (yield* Fiber.join(heard)).flatMap((change) => (change._tag === "Changed" ? [change] : []))
      assert.deepStrictEqual(Array.dedupe(written.map(({ userId }) => userId)), ["@server"])
      const timestamps = written.flatMap(({ operations }) => operations.map(({ timestamp }) => timestamp))
      assert.deepStrictEqual(timestamps, Array.dedupe(timestamps).toSorted())
      assert.deepStrictEqual(yield* problemsOf(server), [])
    })
  )

  it.live("waits for a client to restore an evicted library, which brings back its writes", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const refusal = Effect.flip(server.libraries.update(library.id, "item", "made", { set: item("made") }))
      const { message } = yield* Effect.orDie(Effect.flip(Effect.flip(refusal)))
      assert.match(message, /no client has written to it/)
      const ada = yield* openClient({ user: "ada", library })
      yield* ada.put({ content: "of ada" })
      yield* untilSame([ada])
      yield* updateItem(server, library, "made", { set: item("made", { content: "of the server" }) })
      yield* ada.until("both are there", (items) => items.length === 2)
      yield* ada.goOffline
      assert.isTrue(yield* Effect.orDie(server.libraries.evict(library.id)))
      assert.deepInclude(yield* refusal, { _tag: "WriteRefused", reason: "LibraryEmpty" })
      yield* ada.goOnline
      yield* untilRestored(ada)
      yield* updateItem(server, library, "made", { set: { tags: ["again"] } })
      yield* ada.until("it is changed", (items) => items.some(({ tags }) => tags[0] === "again"))
      const bob = yield* openClient({ user: "bob", library })
      const items = yield* untilSame([ada, bob])
      assert.deepStrictEqual(items.map(({ content }) => content).toSorted(), ["of ada", "of the server"])
      assert.deepStrictEqual(yield* problemsOf(server), [])
    })
  )
})
