/** Real clients of a library that has reached its quota. An item of the tests is four objects: itself, two lists and a map. */
import { assert, describe, it } from "@effect/vitest"
import { setQuota } from "@sealog/server/admin/LibraryQuota"
import type { QuotaChange } from "@sealog/server/domain/Quota"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { openClients } from "../support/verdant/VerdantClient.ts"

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
