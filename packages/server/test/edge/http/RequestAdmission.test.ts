/** Requests that come faster than the server answers: several on one socket, and many in all. */
import { createConnection, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import * as MemoryEventLog from "../../../src/adapters/MemoryEventLog.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"

const REQUEST = "GET /healthz HTTP/1.1\r\nHost: server\r\n\r\n"

const connect = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = createConnection({ port, host: "127.0.0.1" }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A log whose head is read only when the test says so, and that counts the reads. */
const makeHeldLog = Effect.gen(function* () {
  const held = yield* Deferred.make<void>()
  let reads = 0
  const layer = Layer.effect(
    EventLog,
    Effect.map(EventLog, (log) => ({
      ...log,
      heads: (keys: Parameters<typeof log.heads>[0]) =>
        Effect.suspend(() => {
          reads += 1
          return Effect.andThen(Deferred.await(held), log.heads(keys))
        })
    }))
  ).pipe(Layer.provide(MemoryEventLog.layerMemory))
  return { layer, release: Deferred.succeed(held, undefined), reads: () => reads }
})

describe("HTTP requests", () => {
  it.live("that a client pipelines end its connection before they are handled", () =>
    Effect.gen(function* () {
      const log = yield* makeHeldLog
      const server = yield* startMemoryServer({}, log.layer)
      const socket = yield* connect(server.port)
      let isClosed = false
      socket.on("close", () => {
        isClosed = true
      })
      socket.write(REQUEST.repeat(1000))
      yield* until("the server closes the connection", () => isClosed)
      assert.isAtMost(log.reads(), 1)
      yield* log.release
    })
  )

  it.live("that a client pipelines above the limit get one answer", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ limits: { maxRequests: 0 } })
      const socket = yield* connect(server.port)
      let [answer, isClosed] = ["", false]
      socket.on("data", (data) => {
        answer += String(data)
      })
      socket.on("close", () => {
        isClosed = true
      })
      socket.write(REQUEST.repeat(1000))
      yield* until("the server closes the connection", () => isClosed)
      assert.isAtMost(answer.split("HTTP/1.1 503").length - 1, 1)
    })
  )

  it.live("that follow each other on one connection are all answered", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer()
      const socket = yield* connect(server.port)
      let answers = 0
      socket.on("data", (data) => {
        answers += String(data).split("HTTP/1.1 200").length - 1
      })
      for (let sent = 1; sent <= 3; sent++) {
        socket.write(REQUEST)
        yield* until(`answer ${sent}`, () => answers === sent)
      }
    })
  )

  it.live("above the limit are answered with 503, and with 200 again once there is room", () =>
    Effect.gen(function* () {
      const log = yield* makeHeldLog
      const server = yield* startMemoryServer({ limits: { maxRequests: 2 } }, log.layer)
      const statusOf = Effect.promise(async () => (await fetch(`http://127.0.0.1:${server.port}/healthz`)).status)
      for (const count of [1, 2]) {
        const socket = yield* connect(server.port)
        socket.write(REQUEST)
        yield* until("the request is handled", () => log.reads() === count)
      }
      assert.strictEqual(yield* statusOf, 503)
      assert.strictEqual(log.reads(), 2, "the refused request read nothing")
      yield* log.release
      let status = 503
      while (status === 503) status = yield* statusOf
      assert.strictEqual(status, 200)
    })
  )
})
