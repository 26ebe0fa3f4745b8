/** Clients whose apps have different schema versions. */
import { assert, describe, it } from "@effect/vitest"
import { authorization } from "@verdant-web/store"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { evict, forceTruant } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { filledSchema, firstSchema, secondSchema, thirdSchema, unfinishedSchema } from "../support/verdant/schemas.ts"
import { openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

describe.each(["realtime", "pull"] as const)("migration (%s)", (transport) => {
  it.live("writes by clients with the older schema reach clients that have migrated", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "before" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b])
      yield* a.close
      const migrated = yield* openClient({ library, user: "a", transport, schema: secondSchema, device: a.device })
      yield* migrated.until("it has migrated", ([item]) => item?.["title"] === "BEFORE" && item["rating"] === 3)
      yield* b.edit(id, (item) => item.get("tags").push("by the older one"))
      const late = yield* b.put({ content: "new, by the older one" })
      yield* migrated.until("it has the older client's item", (items) => items.length === 2)
      yield* migrated.until("it has the tag", (items) => items.find((item) => item.id === id)?.tags.length === 1)
      assert.strictEqual((yield* migrated.documents()).find((item) => item.id === late)?.["rating"], 3)

      yield* b.close
      const last = yield* openClient({ library, user: "b", transport, schema: secondSchema, device: b.device })
      yield* last.edit(late, (item) => item.set("rating", 5))
      yield* migrated.until("it has the rating", (items) => items.find((item) => item.id === late)?.["rating"] === 5)
      yield* untilSame([migrated, last])
    })
  )

  it.live("a client that missed two schema versions migrates through both, and loses nothing", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "before" })
      yield* a.put({ id: "c", name: "a category" }, { collection: "category" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b])
      yield* b.goOffline
      yield* b.edit(id, (item) => item.get("tags").push("offline, by the oldest"))
      yield* b.close
      yield* a.close
      const second = yield* openClient({ library, user: "a", transport, schema: secondSchema, device: a.device })
      yield* second.edit(id, (item) => item.set("rating", 5))
      yield* untilSame([second])
      yield* second.close
      const third = yield* openClient({ library, user: "a", transport, schema: thirdSchema, device: a.device })
      const other = yield* openClient({ library, user: "b", transport, schema: thirdSchema, device: b.device })
      yield* third.until("it has the tag", ([item]) => item?.tags.length === 1)
      const [item] = yield* untilSame([third, other])
      assert.strictEqual(item?.content, "before")
      assert.strictEqual(item?.["title"], "BEFORE")
    })
  )

  it.live("operations of a later schema are kept, and applied after the upgrade", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "apples" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* b.put({ content: "oranges" })
      yield* untilSame([a, b])
      let futureSeen = 0
      b.store.subscribe("futureSeen", () => {
        futureSeen += 1
      })
      yield* a.close
      const later = yield* openClient({ library, user: "a", transport, schema: secondSchema, device: a.device })
      yield* later.put({ content: "bananas" })
      yield* later.edit(id, (item) => item.set("rating", 5))
      yield* untilSame([later])
      yield* until("it has seen an operation of a later schema", () => futureSeen > 0)
      assert.deepStrictEqual((yield* b.documents()).map(({ content }) => content).toSorted(), ["apples", "oranges"])

      yield* b.close
      const upgraded = yield* openClient({ library, user: "b", transport, schema: secondSchema, device: b.device })
      const items = yield* untilSame([later, upgraded])
      assert.lengthOf(items, 3)
      assert.strictEqual(items.find((item) => item.id === id)?.["rating"], 5)
    })
  )

  it.live("a client with a newer schema that is reset to older data migrates it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport })
      yield* a.put({ content: "of the older" })
      yield* a.put({ id: "c", name: "a category" }, { collection: "category" })
      yield* untilSame([a])
      const device = (yield* openClient({ library, user: "b", transport, offline: true, schema: thirdSchema })).device
      const b = yield* openClient({ library, user: "b", transport, schema: thirdSchema, device })
      yield* b.until("it has migrated the older item", ([item]) => item?.["title"] === "OF THE OLDER")
      assert.strictEqual((yield* b.documents())[0]?.["rating"], "bad")
      yield* b.put({ content: "of the newer", rating: "good" })
      yield* b.until("it goes on", (items) => items.length === 2)
      yield* untilSame([b])
      assert.isUndefined(b.problems.find((problem) => problem.includes("shut down")))
    })
  )

  it.live("a migrated client restores an evicted library in its own schema version", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport })
      yield* a.put({ content: "before" })
      yield* untilSame([a])
      yield* a.close
      const migrated = yield* openClient({ library, user: "a", transport, schema: secondSchema, device: a.device })
      yield* untilSame([migrated])
      yield* evict(server.database, library)
      yield* until("the server asked for its data", () => migrated.restores() === 1)
      const late = yield* openClient({ library, user: "late", transport, schema: secondSchema })
      yield* late.until("it has the item", ([item]) => item?.["title"] === "BEFORE")
      yield* untilSame([migrated, late])
    })
  )
})

describe("private documents and migration", () => {
  it.live("a private document stays private through a migration", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const a = yield* openClient({ library, user: "a" })
      const secret = yield* a.put({ content: "secret" }, { access: authorization.private })
      yield* a.put({ content: "public" })
      yield* untilSame([a])
      yield* a.close
      const migrated = yield* openClient({ library, user: "a", schema: secondSchema, device: a.device })
      yield* migrated.edit(secret, (item) => item.set("title", "still secret"))
      yield* untilSame([migrated])
      const other = yield* openClient({ library, user: "other", schema: secondSchema })
      yield* other.until("it has the public one", (items) => items.length === 1)
      assert.deepStrictEqual(
        (yield* other.documents()).map(({ content }) => content),
        ["public"]
      )
      assert.notInclude(JSON.stringify(other.network.received), secret)
    })
  )

  it.live("a document re-created with other access keeps that access through a migration", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ content: "first public" })
      const other = yield* openClient({ library, user: "other", schema: secondSchema })
      yield* other.until("it has it", (items) => items.length === 1)
      yield* a.remove(id)
      yield* other.until("it is gone", (items) => items.length === 0)
      yield* a.put({ id, content: "then private" }, { access: authorization.private })
      yield* untilSame([a])
      yield* a.close
      const migrated = yield* openClient({ library, user: "a", schema: secondSchema, device: a.device })
      assert.isDefined((yield* migrated.entity(id)).access)
      yield* migrated.edit(id, (item) => item.set("title", "still private"))
      yield* migrated.put({ content: "public" })
      yield* other.until("it has the public one", (items) => items.length === 1)
      const late = yield* openClient({ library, user: "late", schema: secondSchema })
      yield* late.until("it has the public one", (items) => items.length === 1)
      for (const client of [other, late]) {
        assert.deepStrictEqual(
          (yield* client.documents()).map(({ content }) => content),
          ["public"]
        )
        assert.notMatch(JSON.stringify(client.network.received), /private/)
      }
      const device = yield* openClient({ library, user: "a", schema: secondSchema })
      yield* device.until("the user's other device has both", (items) => items.length === 2)
      yield* untilSame([migrated, device])
    })
  )
})

describe("data that the schema does not allow", () => {
  it.live("invalid data from an outdated peer is not shown, and does not disturb sync", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, schema: secondSchema })
      const id = yield* a.put({ content: "fits", rating: 5 })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b])
      yield* b.close
      const newer = yield* openClient({ library, user: "b", schema: thirdSchema, device: b.device })
      yield* newer.until("it has migrated", ([item]) => item?.["rating"] === "good")
      // The newer schema requires a word in place of this number.
      const odd = yield* a.put({ content: "does not fit", rating: 1 })
      yield* a.edit(id, (item) => item.get("tags").push("fits"))
      yield* newer.until("it has the valid change", (items) => items.find((item) => item.id === id)?.tags.length === 1)
      yield* newer.until("it shows the rest", (items) => items.length === 2)
      assert.strictEqual((yield* newer.documents()).find((item) => item.id === odd)?.["rating"], "unknown")

      yield* a.close
      const upgraded = yield* openClient({ library, user: "a", schema: thirdSchema, device: a.device })
      yield* newer.until("it has the migrated rating", (items) =>
        items.some((item) => item.id === odd && item["rating"] === "bad")
      )
      yield* untilSame([newer, upgraded])
    })
  )
})

describe("a work-in-progress schema", () => {
  it.live("a client with a work-in-progress schema never syncs", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const working = yield* openClient({ library, user: "a", schema: unfinishedSchema, offline: true })
      yield* Effect.promise(async () => working.store.sync.start())
      yield* working.put({ content: "to be tried" })
      const other = yield* openClient({ library, user: "b", schema: firstSchema })
      yield* other.put({ content: "synced" })
      yield* untilSame([other])
      yield* working.until("it has its own", (items) => items.length === 1)
      assert.deepStrictEqual([working.network.connections(), working.network.sent.length], [0, 0])
      assert.deepStrictEqual(
        (yield* other.documents()).map(({ content }) => content),
        ["synced"]
      )
    })
  )

  it.live("a work-in-progress schema runs on a copy of the device's data, which is dropped afterwards", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, schema: firstSchema })
      const id = yield* a.put({ content: "real" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* untilSame([a, b])
      yield* a.close
      const working = yield* openClient({
        library,
        user: "a",
        schema: unfinishedSchema,
        device: a.device,
        offline: true
      })
      yield* Effect.promise(async () => working.store.sync.start())
      yield* working.until("it has the item, migrated", ([item]) => item?.["title"] === "REAL")
      yield* working.edit(id, (item) => item.set("content", "tried"))
      yield* working.put({ content: "tried" })
      yield* working.close
      assert.deepStrictEqual([working.network.connections(), working.network.sent.length], [0, 0])

      const again = yield* openClient({ library, user: "a", schema: firstSchema, device: a.device })
      yield* b.edit(id, (item) => item.get("tags").push("goes on"))
      yield* again.until("it goes on", ([item]) => item?.tags.length === 1)
      const items = yield* untilSame([again, b])
      assert.deepStrictEqual(
        items.map(({ content }) => content),
        ["real"]
      )
      assert.strictEqual(again.resets(), 0)
    })
  )
})

describe("initial data", () => {
  it.live("initial data exists once, and a later device does not undo a change to it", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const a = yield* openClient({ library, user: "a", schema: filledSchema })
      yield* a.edit("inbox", (category) => category.set("name", "changed by a"), "category")
      yield* untilSame([a], "category")
      const b = yield* openClient({ library, user: "b", schema: filledSchema })
      yield* b.until("it has the change", ([category]) => category?.["name"] === "changed by a", "category")
      yield* b.edit("inbox", (category) => category.set("look", { color: "green" }), "category")
      yield* a.until("it has the color", ([category]) => category?.["look"] !== null, "category")
      assert.lengthOf(yield* untilSame([a, b], "category"), 1)
    })
  )
})

describe("truancy and migration", () => {
  it.live("a truant client that has migrated is reset to the current data", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library })
      yield* a.put({ id: "c", name: "before" }, { collection: "category" })
      yield* b.until("it has the category", (documents) => documents.length === 1, "category")
      yield* untilSame([a, b], "category")
      yield* b.close
      yield* a.edit("c", (category) => category.set("name", "missed by b"), "category")
      yield* untilSame([a], "category")
      yield* forceTruant(server.database, library, yield* b.replicaId)
      const migrated = yield* openClient({ library, user: "b", schema: secondSchema, device: b.device })
      yield* migrated.until(
        "it has the change that it missed",
        ([category]) => category?.["name"] === "missed by b",
        "category"
      )
      yield* a.edit("c", (category) => category.set("name", "afterwards"), "category")
      yield* migrated.until("it goes on", ([category]) => category?.["name"] === "afterwards", "category")
    })
  )
})
