/** Longer stories, like those of real apps. */
import { assert, describe, it } from "@effect/vitest"
import { createClientBackup, importClientBackup } from "@verdant-web/store/backup"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { documentSnapshot, libraryInfo } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { pageSchema, secondSchema } from "../support/verdant/schemas.ts"
import { type Entity, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

const verdant = { presenceTtl: "1 second", cursorInterval: "300 millis", foldAfter: 1 } as const

describe("a shopping list", () => {
  it.live("clients that work alone and together, delete, restart and migrate converge", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant })
      const library = libraryOn(server)
      const options = { library, transport: "automatic" } as const
      // Alice works alone, offline at first.
      const alice = yield* openClient({ ...options, user: "alice", offline: true })
      const ids = ["apples", "bread", "cheese"] as const
      for (const id of ids) yield* alice.put({ id, content: id })
      yield* alice.goOnline
      assert.strictEqual(alice.store.sync.mode, "pull")
      // Bob joins, and they write together.
      const bob = yield* openClient({ ...options, user: "bob" })
      yield* bob.until("he has the list", (items) => items.length === 3)
      for (const client of [alice, bob]) {
        yield* until(`${client.user} is connected`, () => client.store.sync.mode === "realtime" && client.isOnline())
      }
      yield* Effect.all(
        [
          alice.edit("apples", (item) => item.get("comments").push({ author: "alice", text: "the red ones" })),
          bob.edit("apples", (item) => item.get("comments").push({ author: "bob", text: "no, the green ones" })),
          bob.edit("bread", (item) => item.set("done", true))
        ],
        { concurrency: "unbounded" }
      )
      yield* untilSame([alice, bob])
      // Alice is on the train, and deletes an item that Bob works on.
      alice.network.cut()
      yield* alice.remove("bread")
      yield* alice.put({ id: "dates", content: "dates" })
      yield* bob.edit("bread", (item) => item.get("tags").push("sliced"))
      yield* bob.put({ id: "eggs", content: "eggs" })
      alice.network.mend()
      yield* bob.until("he has Alice's changes", (items) => items.some(({ id }) => id === "dates"))
      const together = yield* untilSame([alice, bob])
      assert.deepStrictEqual(
        together.map(({ id }) => id),
        ["apples", "cheese", "dates", "eggs"]
      )
      // Bob restarts, and Carol joins with a read-only phone.
      yield* bob.close
      const again = yield* openClient({ ...options, user: "bob", device: bob.device })
      const carol = yield* openClient({ ...options, user: "carol", type: "read-only" })
      yield* again.edit("cheese", (item) => item.get("counts").set("slices", 7))
      yield* carol.until("she has the slices", (items) =>
        items.some((item) => JSON.stringify(item["counts"]) === '{"slices":7}')
      )
      yield* untilSame([alice, again, carol])
      // The app is upgraded, on Alice's device first.
      yield* alice.close
      const newer = yield* openClient({ ...options, user: "alice", device: alice.device, schema: secondSchema })
      yield* newer.edit("eggs", (item) => item.set("rating", 5))
      yield* again.edit("eggs", (item) => item.get("tags").push("a dozen"))
      yield* newer.until("she has Bob's change", (items) => items.find(({ id }) => id === "eggs")?.tags.length === 1)
      yield* again.close
      const newest = yield* openClient({ ...options, user: "bob", device: again.device, schema: secondSchema })
      const items = yield* untilSame([newer, newest])
      assert.strictEqual(items.find(({ id }) => id === "eggs")?.["rating"], 5)
      assert.strictEqual(items.find(({ id }) => id === "apples")?.comments.length, 2)
      const snapshot = yield* documentSnapshot(server.database, library, "item", "eggs")
      assert.deepStrictEqual({ ...snapshot }, { ...items.find(({ id }) => id === "eggs") })
      assert.isDefined(yield* libraryInfo(server.database, library))
    })
  )
})

describe("export and import", () => {
  it.live("a client that imports an export continues as a new replica", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library })
      const id = yield* a.put({ content: "exported", tags: ["one"] })
      yield* b.until("it has the item", (items) => items.length === 1)
      const before = yield* a.replicaId
      const exported = yield* Effect.promise(() => a.store.export())
      yield* a.goOffline
      yield* Effect.promise(() => a.store.import(exported))
      assert.notStrictEqual(yield* a.replicaId, before)
      yield* a.goOnline
      yield* a.until("it has the item", (items) => items.length === 1)
      yield* b.edit(id, (item) => item.get("tags").push("after the import"))
      yield* a.until("it has b's change", ([item]) => item?.tags.length === 2)
      yield* a.put({ content: "after the import" })
      yield* b.until("it has a's new item", (items) => items.length === 2)
      yield* untilSame([a, b])
    })
  )

  it.live("a backup starts a new library, with its files", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const a = yield* openClient({ library: libraryOn(server), user: "a" })
      yield* a.put({ id: "x", content: "backed up", image: new File(["the picture"], "picture.txt") })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      const backup = yield* Effect.promise(() => createClientBackup(a.store))
      const elsewhere = libraryOn(server)
      const b = yield* openClient({ library: elsewhere, user: "b", offline: true })
      yield* Effect.promise(() => importClientBackup(b.store, backup))
      yield* b.goOnline
      const c = yield* openClient({ library: elsewhere, user: "c" })
      yield* c.until("it has the item", ([item]) => item?.content === "backed up")
      yield* c.edit("x", (item) => item.get("tags").push("of c"))
      yield* b.until("it has c's change", ([item]) => item?.tags.length === 1)
      yield* untilSame([b, c])
    })
  )
})

describe.each(["realtime", "pull"] as const)("a rich text (%s)", (transport) => {
  it.live("concurrent changes to a tree's structure converge", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant })
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library, transport, schema: pageSchema })
      const paragraph = (text: string) => ({ type: "paragraph", text: null, content: [{ type: "text", text }] })
      const edit = (change: (content: Entity) => void) => (page: Entity) => change(page.get("body").get("content"))
      yield* a.put(
        { id: "p", body: { type: "doc", text: null, content: ["one", "two", "three"].map(paragraph) } },
        { collection: "page" }
      )
      yield* b.until("it has the page", (pages) => pages.length === 1, "page")
      for (const client of [a, b]) yield* client.goOffline
      yield* a.edit(
        "p",
        edit((content) => {
          content.move(0, 2)
          content.get(0).get("content").push({ type: "text", text: "of a" })
          content.insert(1, paragraph("new, of a"))
        }),
        "page"
      )
      yield* b.edit(
        "p",
        edit((content) => {
          content.get(1).get("content").get(0).set("text", "two, of b")
          content.get(2).get("attrs").set("align", "right")
          content.delete(0)
          content.push({ type: "quote", text: null, content: [paragraph("nested, of b")] })
        }),
        "page"
      )
      for (const client of [a, b]) yield* client.goOnline
      yield* a.until("it has the quote", ([page]) => JSON.stringify(page).includes("nested, of b"), "page")
      const [page] = yield* untilSame([a, b], "page")
      for (const text of ["new, of a", "nested, of b", "right"]) assert.include(JSON.stringify(page), text)
      const late = yield* openClient({ library, user: "late", transport, schema: pageSchema })
      yield* late.until("it has the page", (pages) => pages.length === 1, "page")
      yield* untilSame([a, b, late], "page")
      const snapshot = yield* documentSnapshot(server.database, library, "page", "p")
      assert.deepStrictEqual({ ...snapshot }, { ...page })
    })
  )
})
