import { assert, describe, it } from "@effect/vitest"
import * as RedisSignals from "@sealog/server/adapters/RedisSignals"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { type Broadcast, Signals } from "@sealog/server/ports/Signals"
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

/** Subscribes, and collects all signals by kind. */
const hear = Effect.fnUntraced(function* (signals: Signals["Service"]) {
  const keys = yield* Queue.unbounded<StreamKey>()
  const all = yield* Queue.unbounded<"all">()
  const broadcasts = yield* Queue.unbounded<Broadcast>()
  yield* Effect.forkScoped(
    Stream.runForEach(signals.wakeups, (woken) =>
      woken === "all" ? Effect.asVoid(Queue.offer(all, woken)) : Effect.asVoid(Queue.offerAll(keys, woken))
    )
  )
  yield* Effect.forkScoped(Stream.runForEach(signals.broadcasts, (message) => Queue.offer(broadcasts, message)))
  yield* Queue.take(all)
  return { keys, all, broadcasts }
})

describe("signals through Redis", () => {
  it.live("signals reach other processes but not their sender, and carry ephemeral messages byte for byte", () =>
    Effect.gen(function* () {
      const { port, url } = yield* redisOn
      yield* startRedis(port)
      const [one, two] = yield* Effect.all([openSignals(url), openSignals(url)])
      const [own, heard] = [yield* hear(one), yield* hear(two)]
      const many = Array.makeBy(5000, (i) => keyOf(`stream-${i}`))
      for (const key of many) yield* one.announce([key])
      yield* one.announce([keyOf("the end")])
      const seen = new Set<string>()
      while (!seen.has("the end")) seen.add((yield* Queue.take(heard.keys)).streamId)
      assert.strictEqual(seen.size, 5001)
      const frame = crypto.getRandomValues(new Uint8Array(50_000))
      yield* one.broadcast({ key: keyOf("a"), frame })
      const received = yield* Queue.take(heard.broadcasts)
      assert.deepStrictEqual(received.key, keyOf("a"))
      assert.strictEqual(Buffer.compare(received.frame, frame), 0)
      assert.deepStrictEqual([yield* Queue.size(own.keys), yield* Queue.size(own.broadcasts)], [0, 0])
    })
  )

  it.live("signals work without Redis while it is down, and through it again afterwards", () =>
    Effect.gen(function* () {
      const { port, url } = yield* redisOn
      // Redis does not run yet, so only the sweep announces changes.
      const [one, two] = yield* Effect.all([openSignals(url), openSignals(url)])
      const heard = yield* hear(two)
      yield* hear(one)
      yield* one.announce([keyOf("into the void")])
      for (const signal of ["SIGKILL", "SIGTERM"] as const) {
        const redis = yield* startRedis(port)
        // The announcement repeats, because a connection becomes ready at an unknown time.
        const announcing = yield* Effect.forkChild(
          Effect.forever(Effect.andThen(one.announce([keyOf(signal)]), Effect.sleep("50 millis")))
        )
        while ((yield* Queue.take(heard.keys)).streamId !== signal);
        yield* redis.kill(signal)
        announcing.interruptUnsafe()
      }
    })
  )

  it.live(
    "several processes converge, also after Redis is killed, and an eviction by the command line reaches all",
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
