/** Random work by several clients that come and go: in the end they have the same. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeRandom, type Random } from "../support/random.ts"
import { startServer } from "../support/TestServer.ts"
import { documentSnapshot } from "../support/verdant/admin.ts"
import { changeOf } from "../support/verdant/changes.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

const ID = "shared"

const work = Effect.fnUntraced(function* (random: Random, clients: ReadonlyArray<VerdantClient>, times: number) {
  for (let i = 0; i < times; i++) {
    const client = clients[random.next(clients.length)]!
    yield* client.edit(ID, changeOf(random, `${client.user} ${i}`))
  }
})

describe.each([
  ["realtime", "realtime"],
  ["pull", "pull"],
  ["realtime", "pull"]
] as const)("random work by %s and %s", (first, second) => {
  it.live("25 50 changes by each, offline, online and offline again", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Verdant fuzz with TEST_SEED=${random.seed}`)
      // Folds all the time.
      const server = yield* startServer({ verdant: { cursorInterval: "300 millis", foldAfter: 1 } })
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport: first })
      const b = yield* openClient({ library, user: "b", transport: second })
      yield* a.put({ id: ID })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* a.goOffline
      yield* b.goOffline
      yield* work(random, [a], 25)
      yield* work(random, [b], 25)
      yield* a.goOnline
      yield* b.goOnline
      yield* untilSame([a, b])
      yield* work(random, [a, b], 25)
      yield* untilSame([a, b])
      yield* b.goOffline
      yield* work(random, [a, b], 25)
      yield* b.goOnline
      yield* untilSame([a, b])
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has the item", (items) => items.length === 1)
      const [item] = yield* untilSame([a, b, late])
      const snapshot = yield* documentSnapshot(server.database, library, "item", ID)
      assert.deepStrictEqual({ ...snapshot }, { ...item })
    })
  )
})
