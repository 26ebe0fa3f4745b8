/** Random work by several clients that disconnect and return: they converge. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import { makeRandom, type Random } from "../support/random.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { documentSnapshot, evict, forceTruant, pruned } from "../support/verdant/admin.ts"
import { changeFlat, changeOf, FLAT } from "../support/verdant/changes.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, openClients, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

// Each test does hundreds of changes by real clients.
vi.setConfig({ testTimeout: 600_000 })

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
  it.live("two clients converge after 50 random changes each, offline, online and offline again", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Verdant fuzz with TEST_SEED=${random.seed}`)
      // The server compacts all the time.
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
      assert.deepStrictEqual(pruned({ ...snapshot }), { ...item })
    })
  )
})

const workFlat = Effect.fnUntraced(function* (random: Random, clients: ReadonlyArray<VerdantClient>, times: number) {
  for (let i = 0; i < times; i++) {
    const client = clients[random.next(clients.length)]!
    yield* changeFlat(random, client, `${client.user} ${random.next(1_000_000)}`)
  }
})

describe("random work under random failures", () => {
  it.live("four clients converge through dropped networks, evictions and truancy, and go on working", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Verdant trouble with TEST_SEED=${random.seed}`)
      const server = yield* startServer({ verdant: { cursorInterval: "300 millis", foldAfter: 1 } })
      const library = libraryOn(server)
      const clients = [
        ...(yield* openClients(["a", "b"], { library })),
        ...(yield* openClients(["c", "d"], { library, transport: "pull" }))
      ]
      for (let round = 0; round < 6; round++) {
        const troubled = clients[random.next(clients.length)]!
        yield* workFlat(random, clients, 12)
        const troubles: ReadonlyArray<Effect.Effect<unknown>> = [
          Effect.sync(() => troubled.network.cut()),
          Effect.sync(() => troubled.network.drop()),
          evict(server.database, library),
          Effect.flatMap(troubled.replicaId, (id) => forceTruant(server.database, library, id))
        ]
        yield* troubles[random.next(troubles.length)]!
        yield* workFlat(random, clients, 6)
        troubled.network.mend()
        yield* untilSame(clients, FLAT)
      }
      yield* clients[0]!.put({ id: "afterwards" }, { collection: FLAT })
      for (const client of clients) {
        yield* client.until("it goes on", (documents) => documents.some(({ id }) => id === "afterwards"), FLAT)
      }
      yield* untilSame(clients, FLAT)
    })
  )
})
