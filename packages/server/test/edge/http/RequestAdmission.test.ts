/** Requests that come faster than the server answers: several on one socket, and many in all. */
import { createConnection, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"

const HELD = "/held"
const requestOf = (path: string) => `GET ${path} HTTP/1.1\r\nHost: server\r\n\r\n`
const REQUEST = requestOf("/healthz")

const connect = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = createConnection({ port, host: "127.0.0.1" }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A route that answers only when the test says so, and that counts its requests. */
const makeHeldRoute = Effect.gen(function* () {
  const held = yield* Deferred.make<void>()
  let requests = 0
  const handler = Effect.suspend(() => {
    requests += 1
    return Effect.as(Deferred.await(held), HttpServerResponse.empty({ status: 200 }))
  })
  const routes = HttpRouter.add("GET", HELD, handler)
  return { routes, release: Deferred.succeed(held, undefined), requests: () => requests }
})

describe("HTTP requests", () => {
  it.live("that a client pipelines end its connection before they are handled", () =>
    Effect.gen(function* () {
      const route = yield* makeHeldRoute
      const server = yield* startMemoryServer({ routes: route.routes })
      const socket = yield* connect(server.port)
      let isClosed = false
      socket.on("close", () => {
        isClosed = true
      })
      socket.write(requestOf(HELD).repeat(1000))
      yield* until("the server closes the connection", () => isClosed)
      assert.isAtMost(route.requests(), 1)
      yield* route.release
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
      const route = yield* makeHeldRoute
      const server = yield* startMemoryServer({ limits: { maxRequests: 2 }, routes: route.routes })
      const statusOf = Effect.promise(async () => (await fetch(`http://127.0.0.1:${server.port}${HELD}`)).status)
      for (const count of [1, 2]) {
        const socket = yield* connect(server.port)
        socket.write(requestOf(HELD))
        yield* until("the request is handled", () => route.requests() === count)
      }
      assert.strictEqual(yield* statusOf, 503)
      assert.strictEqual(route.requests(), 2, "the refused request was not handled")
      yield* route.release
      let status = 503
      while (status === 503) status = yield* statusOf
      assert.strictEqual(status, 200)
    })
  )
})
