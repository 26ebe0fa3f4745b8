/** Clients of a library converge. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

describe.each(["realtime", "pull"] as const)("sync (%s)", (transport) => {
  it.live("three clients that go offline and return receive each other's changes", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b, c] = yield* openClients(["a", "b", "c"], { library, transport, offline: true })
      const id = yield* a.put({ content: "the list" })
      for (const client of [a, b, c]) yield* client.goOnline
      yield* untilSame([a, b, c])
      yield* b.goOffline
      yield* c.goOffline
      for (const client of [a, b, c]) yield* client.edit(id, (item) => item.get("tags").push(`from ${client.user}`))
      yield* b.goOnline
      yield* c.goOnline
      yield* a.until("it has all tags", ([item]) => item?.tags.length === 3)
      const [item] = yield* untilSame([a, b, c])
      assert.sameMembers([...(item?.tags ?? [])], ["from a", "from b", "from c"])
    })
  )

  it.live("a set holds a value once that several clients add, and the undo of a deletion reaches all", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ comments: [{ author: "a", text: "first" }] })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* a.goOffline
      yield* b.goOffline
      for (const client of [a, b]) yield* client.edit(id, (item) => item.get("tags").add("common"))
      yield* a.edit(id, (item) => item.get("comments").delete(0))
      yield* a.goOnline
      yield* b.goOnline
      yield* b.until("the comment is gone", ([item]) => item?.comments.length === 0)
      const [item] = yield* untilSame([a, b])
      assert.deepStrictEqual(item?.tags, ["common"])
      yield* Effect.promise(() => a.store.undoHistory.undo())
      yield* b.until("the comment is back", ([item]) => item?.comments.length === 1)
      const [restored] = yield* untilSame([a, b])
      assert.deepStrictEqual(restored?.comments, [{ author: "a", text: "first" }])
    })
  )

  it.live("an undo removes the client's own push, and keeps the peer's", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ tags: ["first"] })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* a.edit(id, (item) => item.get("tags").push("mine"))
      yield* b.until("it has the tag", ([item]) => item?.tags.length === 2)
      yield* b.edit(id, (item) => item.get("tags").push("theirs"))
      yield* a.until("it has the peer's tag", ([item]) => item?.tags.length === 3)
      yield* Effect.promise(() => a.store.undoHistory.undo())
      yield* b.until("the tag is gone", ([item]) => item?.tags.length === 2)
      const [item] = yield* untilSame([a, b])
      assert.deepStrictEqual(item?.tags, ["first", "theirs"])
    })
  )

  it.live("only the last of several changes to one field in a batch is sent", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({})
      yield* b.until("it has the item", (items) => items.length === 1)
      const before = a.network.sent.length
      yield* a.edit(id, (item) => {
        for (let i = 1; i <= 10; i++) item.set("content", `version ${i}`)
        item.set("done", true)
      })
      yield* b.until("it has the last version", ([item]) => item?.content === "version 10")
      const operations = a.network.sent
        .slice(before)
        .flatMap(({ type, operations }) => (type === "op" ? [operations] : []))
      assert.strictEqual(operations.flat().length, 2)
      const [item] = yield* untilSame([a, b])
      assert.strictEqual(item?.["done"], true)
    })
  )
})

describe("sync once", () => {
  it.live("an offline client receives everything with one sync", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const a = yield* openClient({ library, user: "a" })
      yield* a.put({ content: "one" })
      yield* a.put({ content: "two" })
      const b = yield* openClient({ library, user: "b", offline: true })
      yield* b.until("it has nothing", (items) => items.length === 0)
      // Makes sure that the items are stored before b syncs.
      yield* untilSame([a])
      yield* Effect.promise(() => b.store.sync.syncOnce())
      yield* b.until("it has both", (items) => items.length === 2)
      assert.isFalse(b.isOnline())
      assert.strictEqual(b.network.connections(), 0)
    })
  )
})
