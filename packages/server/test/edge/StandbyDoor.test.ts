import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { until } from "#test-support/until"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { demote, promote } from "../../src/admin/Standby.ts"
import { listen } from "../../src/edge/listen.ts"
import { layerUntilPromoted } from "../../src/edge/StandbyDoor.ts"
import { EventLog, StorageUnavailable } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"

const host = "127.0.0.1"
const memory = Layer.merge(layerMemory, Signals.layerNone)

const get = (port: number, path: string, headers: Record<string, string> = {}) =>
  Effect.promise(() =>
    fetch(`http://${host}:${port}${path}`, { headers }).then(
      async (response) => ({ status: response.status, text: await response.text() }),
      () => undefined
    )
  )

/** A port that a server has until the scope closes, or until `close`. */
const usedPort = Effect.gen(function* () {
  const server = createServer((_, response) => response.writeHead(200, { connection: "close" }).end())
  const port = yield* listen(server, { host, port: 0 })
  return { port, close: Effect.callback<void>((resume) => void server.close(() => resume(Effect.void))) }
})

describe("a server that waits for a promotion", () => {
  it.live(
    "answers that it is not ready once the port is free, and gives the port up when the standby is promoted",
    () =>
      Effect.gen(function* () {
        yield* demote()
        const { close, port } = yield* usedPort
        const waiting = yield* Effect.forkScoped(Layer.build(layerUntilPromoted({ host, port })))
        assert.deepInclude(yield* get(port, "/readyz"), { status: 200 })
        yield* close
        yield* until(
          "it answers",
          Effect.map(get(port, "/readyz"), (found) => found?.status === 503)
        )
        assert.include((yield* get(port, "/readyz"))?.text, "standby")
        assert.deepInclude(yield* get(port, "/livez"), { status: 200 })
        assert.deepInclude(yield* get(port, "/welcome?sessionKey=token"), { status: 503 })
        assert.isUndefined(waiting.pollUnsafe())
        yield* promote()
        yield* Fiber.join(waiting)
        assert.strictEqual(yield* listen(createServer(), { host, port }), port)
      }).pipe(Effect.provide(memory))
  )

  it.live("goes on at once if the log is no standby, and takes no port", () =>
    Effect.gen(function* () {
      const { port } = yield* usedPort
      yield* Effect.scoped(Layer.build(layerUntilPromoted({ host, port })))
    }).pipe(Effect.provide(memory))
  )

  it.live("waits while the log cannot be read, because it may be a standby", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      let [isAway, looks] = [true, 0]
      const away = new StorageUnavailable({ operation: "answer", cause: new Error("away") })
      const sometimes = EventLog.of({
        ...log,
        read: (key, options) => {
          looks += 1
          return isAway ? Effect.fail(away) : log.read(key, options)
        }
      })
      const waiting = yield* Effect.forkScoped(
        Layer.build(layerUntilPromoted(undefined)).pipe(Effect.provideService(EventLog, sometimes))
      )
      yield* until("it has looked", () => looks > 2)
      assert.isUndefined(waiting.pollUnsafe())
      isAway = false
      yield* Fiber.join(waiting)
    }).pipe(Effect.provide(memory))
  )
})
