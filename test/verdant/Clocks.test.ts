/** Real clients of a server whose clock differs from theirs. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { shiftedClock } from "../support/shiftedClock.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClients, untilSame } from "../support/verdant/VerdantClient.ts"

it.live(
  "clients that are ahead of the server by more than a minute see each other's changes as soon as their time has come",
  () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const behind = shiftedClock(clock, () => -63_000)
      const server = yield* Effect.provideService(startServer(), Clock.Clock, behind)
      const library = libraryOn(server)
      // Their tokens are of the server's time.
      const token: typeof library.token = (request) =>
        Effect.provideService(library.token(request), Clock.Clock, behind)
      const [a, b] = yield* openClients(["a", "b"], { library: { ...library, token } })
      const id = yield* a.put({ content: "early" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* b.edit(id, (item) => item.get("tags").push("seen"))
      yield* a.until("it has the tag", ([item]) => item?.tags.length === 1)
      yield* untilSame([a, b])
      assert.deepStrictEqual([a.resets(), b.resets()], [0, 0])
    })
)
