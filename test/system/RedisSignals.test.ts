import { assert, describe, it } from "@effect/vitest"
import * as RedisSignals from "@sealog/server/adapters/RedisSignals"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { Signals } from "@sealog/server/ports/Signals"
import { signalsSuite } from "@sealog/server/testing"
import { Array, Context, Effect, Layer, Queue, Redacted, Stream } from "effect"
import { vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { writeTogether } from "../support/secsync/writeTogether.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { runProgram } from "./Binary.ts"

// One test repeats a scenario of four real clients.
vi.setConfig({ testTimeout: 600_000 })

const PASSWORD = "a-password-of-this-test"
const startRedis = (port: number) =>
  runProgram("redis-server", ["--port", String(port), "--save", "", "--requirepass", PASSWORD], port)

const redisOn = Effect.map(
  Effect.promise(freePort),
  (port) => ({ port, url: `redis://:${PASSWORD}@127.0.0.1:${port}` }) as const
)

const keyOf = (streamId: string): StreamKey => ({ libraryId: LibraryId.make("été-日本-😀"), streamId })

const openSignals = (url: string) =>
  Effect.map(
    Layer.build(
      Layer.fresh(RedisSignals.layer({ url: Redacted.make(url) })).pipe(Layer.provide(Layer.fresh(Signals.layerNone)))
    ),
    (services) => Context.get(services, Signals)
  )

signalsSuite(
  "Redis",
  Effect.gen(function* () {
    const { port, url } = yield* redisOn
    const running = yield* startRedis(port)
    return {
      open: Effect.map(openSignals(url), (signals) => ({ signals, write: signals.announce })),
      interrupt: Effect.andThen(running.kill("SIGKILL"), Effect.asVoid(startRedis(port)))
    }
  })
)

/** The names of streams that a process hears of, from the first sweep on. */
const listen = Effect.fnUntraced(function* (signals: Signals["Service"]) {
  const named = yield* Queue.unbounded<string>()
  const all = yield* Queue.unbounded<"all">()
  yield* Effect.forkScoped(
    Stream.runForEach(signals.wakeups, (woken) =>
      woken === "all"
        ? Effect.asVoid(Queue.offer(all, woken))
        : Effect.asVoid(
            Queue.offerAll(
              named,
              woken.map(({ streamId }) => streamId)
            )
          )
    )
  )
  yield* Queue.take(all)
  return named
})

describe("signals by Redis", () => {
  it.live("work without a Redis that is away, and use it once it is there", () =>
    Effect.gen(function* () {
      const { port, url } = yield* redisOn
      // Redis has not started: the sweep alone wakes the listeners.
      const [one, two] = yield* Effect.all([openSignals(url), openSignals(url)])
      const named = yield* listen(two)
      yield* listen(one)
      yield* one.announce([keyOf("into the void")])
      for (const signal of ["SIGKILL", "SIGTERM"] as const) {
        const redis = yield* startRedis(port)
        // Announced until it is heard, because the processes connect at a time of their own.
        const announcing = yield* Effect.forkChild(
          Effect.forever(Effect.andThen(one.announce([keyOf(signal)]), Effect.sleep("50 millis")))
        )
        while ((yield* Queue.take(named)) !== signal);
        yield* redis.kill(signal)
        announcing.interruptUnsafe()
      }
    })
  )

  it.live(
    "serve several processes while Redis is killed, and an eviction by the command line reaches all clients",
    () =>
      Effect.gen(function* () {
        const { port, url } = yield* redisOn
        const database = yield* freshStorage
        const redis = yield* startRedis(port)
        const servers = yield* Effect.all(
          Array.makeBy(2, () => spawnServer(database, { args: ["--signals", url] })),
          { concurrency: 2 }
        )
        const urls = servers.map(({ url }) => url)
        const run = (number: number) =>
          Effect.scoped(Effect.flatMap(mintToken(randomName()), (token) => writeTogether(urls, token, `run ${number}`)))
        yield* Effect.forEach(Array.range(1, 5), run)
        yield* redis.kill("SIGKILL")
        yield* Effect.forEach(Array.range(6, 8), run)

        const library = randomName()
        const options = { documentId: randomName(), token: yield* mintToken(library) }
        const clients = yield* Effect.forEach(urls, (url) => connectClient({ url, ...options }))
        yield* untilAll(clients, "both have loaded", (client) => client.isSettled())
        clients[0]?.write("kept")
        yield* untilAll(clients, "both have it", (client) => client.isSettled() && client.list().length === 1)
        const evicted = clients[0]?.activeSnapshotId()
        assert.strictEqual((yield* runCommand(database, "evict", library, "--yes")).exitCode, 0)
        yield* untilAll(clients, "it is back", (client) => client.isSettled() && client.activeSnapshotId() !== evicted)
      })
  )
})
