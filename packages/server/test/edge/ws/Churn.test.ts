/** Connections and documents come and go: in the end, the process holds what it held in the beginning. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, it } from "@effect/vitest"
import { Array, Clock, Duration, Effect } from "effect"
import { openRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, post, refusedUpgrade } from "#test-support/clients/RawVerdant"
import { scrape } from "#test-support/servers/scrape"
import { randomName, startMemoryServer } from "#test-support/servers/TestServer"
import { shiftedClock } from "#test-support/shiftedClock"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { makeReplica } from "#test-support/verdant/Replica"

const CLIENTS = 100
/** How much faster time passes for the server, so that idle rooms close at once. */
const TIMES_FASTER = 50
/** Bytes that a client of a round may leave behind, on average: much less than a connection takes (docs/limits.md). */
const LEFT_BY_CLIENT = 8000

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const heapUsed = Effect.gen(function* () {
  // Finalizers of one collection free objects for the next.
  for (let i = 0; i < 3; i++) {
    collectGarbage()
    yield* Effect.promise(() => new Promise((resume) => setImmediate(resume)))
  }
  return process.memoryUsage().heapUsed
})

it.live("connections, documents that nobody makes, and refused clients leave no socket, room or memory behind", () =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const begun = clock.monotonicTimeNanosUnsafe()
    const faster = () => (clock.monotonicTimeNanosUnsafe() - begun) * BigInt(TIMES_FASTER - 1)
    const hasty: Clock.Clock = {
      ...shiftedClock(clock, () => Number(faster() / 1_000_000n)),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + faster(),
      monotonicTimeNanos: Effect.sync(() => clock.monotonicTimeNanosUnsafe() + faster()),
      sleep: (duration) => clock.sleep(Duration.times(duration, 1 / TIMES_FASTER))
    }
    const limits = { handshakeTimeout: "10 minutes", bodyTimeout: "30 minutes", heartbeat: "1 hour" } as const
    const server = yield* Effect.provideService(startMemoryServer({ metrics: { port: 0 }, limits }), Clock.Clock, hasty)
    const token = yield* server.token("library")
    const round = Effect.scoped(
      Effect.forEach(
        Array.range(1, CLIENTS),
        (i) =>
          Effect.gen(function* () {
            const documentId = randomName()
            const client = yield* openRaw({ url: server.url, documentId, token })
            yield* client.next("document")
            if (i % 2 === 0) client.socket.close()
            const refused = yield* openRaw({ url: server.url, documentId, token: "forged" })
            yield* refused.closed
            if (i % 10 !== 0) return
            const library = libraryOn(server)
            const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
            yield* connection.settled
            yield* post(library, yield* library.token({ userId: "a" }), [makeReplica().presence({})])
            assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", "forged"]), 401)
          }),
        { concurrency: 20, discard: true }
      )
    )
    const rest = Effect.gen(function* () {
      const names = ["sealog_connections", "sealog_rooms", "sealog_handshakes", "sealog_refused_connections"]
      const open = Effect.map(scrape(server), ({ value }) => names.filter((name) => value(name) !== 0))
      yield* until(
        "connections and rooms have gone",
        Effect.map(open, (names) => names.length === 0)
      )
      const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length
      // Idle connections of `fetch` stay open for some seconds.
      yield* until("sockets have gone", () => sockets() <= 2, sockets)
      return yield* heapUsed
    })
    yield* round
    const before = yield* rest
    const ROUNDS = 3
    for (let i = 0; i < ROUNDS; i++) yield* round
    const after = yield* rest
    assert.isBelow((after - before) / (ROUNDS * CLIENTS), LEFT_BY_CLIENT)
  })
)
