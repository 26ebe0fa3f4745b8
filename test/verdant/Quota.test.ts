/** Real clients of a library that has reached its quota. An item of the tests is four objects: itself, two lists and a map. */
import { assert, describe, it } from "@effect/vitest"
import { setQuota } from "@sealog/server/admin/LibraryQuota"
import { replay } from "@sealog/server/admin/Replay"
import type { QuotaChange } from "@sealog/server/domain/Quota"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { forceTruant, libraryInfo } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

const setQuotaOf = (database: string, { id }: Library, quota: QuotaChange) =>
  setQuota(id, quota).pipe(Effect.provide(layerOf(database)), Effect.orDie)

describe.each(["realtime", "pull"] as const)("clients of a full library (%s)", (transport) => {
  it.live("change and delete what it has, and make new items once the quota is raised", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ quota: { objects: 8 } })
      const library = libraryOn(server)
      const [ada, bob] = yield* openClients(["ada", "bob"], { library, transport })
      const [first, second] = [yield* ada.put({ content: "first" }), yield* ada.put({ content: "second" })]
      yield* bob.until("both are there", (items) => items.length === 2)
      yield* ada.put({ content: "refused" })
      yield* ada.edit(first, (item) => item.set("content", "changed"))
      yield* bob.until("the change is there", (items) => items.some(({ content }) => content === "changed"))
      yield* bob.remove(second)
      yield* ada.until("the deletion is there", (items) => items.every(({ id }) => id !== second))
      const contents = (yield* bob.documents()).map(({ content }) => content)
      assert.deepStrictEqual(contents, ["changed"])
      assert.isFalse(ada.hasFailed() || bob.hasFailed())

      yield* setQuotaOf(server.database, library, { objects: 1000 })
      const isTaken = (items: ReadonlyArray<{ readonly content: string }>) =>
        items.some(({ content }) => content === "taken")
      yield* until(
        "an item is taken",
        Effect.gen(function* () {
          yield* ada.put({ content: "taken" })
          yield* until("it is answered", () => ada.isSettled())
          return isTaken(yield* bob.documents())
        })
      )
      assert.isFalse(ada.hasFailed() || bob.hasFailed())
    })
  )
})

describe.each(["realtime", "pull"] as const)(
  "a client that brings more than an empty library has room for (%s)",
  (transport) => {
    const withTooMuch = Effect.gen(function* () {
      const server = yield* startServer({ quota: { objects: 8 } })
      const library = libraryOn(server)
      const ada = yield* openClient({ user: "ada", library, transport, offline: true })
      for (const content of ["one", "two", "three"]) yield* ada.put({ content })
      yield* ada.goOnline
      return { server, library, ada }
    })

    it.live("keeps what it has, and reads what others write", () =>
      Effect.gen(function* () {
        const { ada, library } = yield* withTooMuch
        const bob = yield* openClient({ user: "bob", library, transport })
        yield* bob.put({ content: "four" })
        yield* ada.until("the item is there", (items) => items.length === 4)
        assert.deepStrictEqual(contents(yield* ada.documents()), ["four", "one", "three", "two"])
        assert.deepStrictEqual(contents(yield* bob.documents()), ["four"])
        assert.strictEqual(ada.resets(), 0)
        assert.isFalse(ada.hasFailed() || bob.hasFailed())
      })
    )

    it.live("brings all of it once the quota is raised", () =>
      Effect.gen(function* () {
        const { ada, library, server } = yield* withTooMuch
        const bob = yield* openClient({ user: "bob", library, transport })
        yield* setQuotaOf(server.database, library, { objects: 1000 })
        // A server holds the new quota within a second. A connected client syncs when it connects.
        const reconnect = Effect.andThen(ada.goOffline, ada.goOnline)
        yield* until(
          "all are there",
          Effect.gen(function* () {
            if (transport === "realtime") yield* reconnect
            return (yield* bob.documents()).length === 3
          })
        )
        assert.deepStrictEqual(contents(yield* ada.documents()), ["one", "three", "two"])
        assert.strictEqual(ada.resets(), 0)
        assert.isFalse(ada.hasFailed() || bob.hasFailed())
      })
    )
  }
)

it.live("a new device of a library with as many replicas as its quota takes the place of a truant one", () =>
  Effect.gen(function* () {
    const server = yield* startServer({ quota: { replicas: 2 } })
    const library = libraryOn(server)
    const [ada, gone] = yield* openClients(["ada", "gone"], { library })
    yield* ada.put({ content: "kept" })
    yield* untilSame([ada, gone])
    const goneId = yield* gone.replicaId
    yield* gone.close
    yield* forceTruant(server.database, library, goneId)
    const next = yield* openClient({ user: "next", library, transport: "pull" })
    yield* next.until("it has the item", (items) => items.length === 1)
    const ids = (yield* libraryInfo(server.database, library))?.replicas.map(({ id }) => id) ?? []
    assert.sameMembers([...ids], [yield* ada.replicaId, yield* next.replicaId])
    const verified = replay().pipe(Effect.provide([Signatures.layerInline, layerOf(server.database)]))
    assert.deepStrictEqual((yield* Effect.orDie(verified)).problems, [])
  })
)
