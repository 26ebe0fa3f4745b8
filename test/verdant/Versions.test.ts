/** Clients of an older store next to clients of a newer one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { evict } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, untilSame } from "../support/verdant/VerdantClient.ts"

describe.each([
  ["realtime", "realtime"],
  ["pull", "realtime"],
  ["realtime", "pull"],
  ["pull", "pull"]
] as const)("store 3.6 by %s next to store 5.5 by %s", (older, newer) => {
  it.live("clients of store 3.6 and 5.5 see each other's changes online, offline and after a restart", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer({ verdant: { cursorInterval: "300 millis", foldAfter: 1 } }))
      const old = yield* openClient({ library, user: "old", transport: older, version: 3 })
      const id = yield* old.put({ content: "of the older" })
      const young = yield* openClient({ library, user: "young", transport: newer })
      yield* young.until("it has the item", (items) => items.length === 1)
      yield* young.edit(id, (item) => {
        item.set("content", "of the newer")
        item.get("tags").push("of the newer")
        item.get("comments").push({ author: "young", text: "first" })
      })
      yield* old.until("it has the newer client's change", ([item]) => item?.comments.length === 1)
      yield* untilSame([old, young])
      yield* old.goOffline
      yield* old.edit(id, (item) => item.get("tags").push("of the older, offline"))
      yield* young.edit(id, (item) => item.get("comments").get(0).set("text", "second"))
      yield* young.put({ content: "added by the newer" })
      yield* old.goOnline
      yield* young.until("it has the older one's tag", (items) => items.some(({ tags }) => tags.length === 2))
      yield* old.until("it has both", (items) => items.length === 2)
      yield* untilSame([old, young])
      yield* old.close
      const again = yield* openClient({ library, user: "old", transport: older, version: 3, device: old.device })
      yield* again.remove(id)
      yield* young.until("it is gone", (items) => items.length === 1)
      const items = yield* untilSame([again, young])
      assert.deepStrictEqual(
        items.map(({ content }) => content),
        ["added by the newer"]
      )
    })
  )
})

describe("stores of both versions", () => {
  it.live("clients of both store versions see each other's presence, and restore an evicted library", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const old = yield* openClient({ library, user: "old", version: 3 })
      const young = yield* openClient({ library, user: "young" })
      for (const [one, other] of [
        [old, young],
        [young, old]
      ] as const) {
        yield* until(`${one.user} knows of the other`, () => one.peers().includes(other.user))
      }
      yield* old.put({ content: "of the older" })
      yield* young.put({ content: "of the newer" })
      yield* old.until("it has both", (items) => items.length === 2)
      yield* untilSame([old, young])
      for (const client of [old, young]) yield* client.goOffline
      yield* evict(server.database, library)
      yield* old.goOnline
      yield* young.goOnline
      assert.lengthOf(yield* untilSame([old, young]), 2)
    })
  )
})
