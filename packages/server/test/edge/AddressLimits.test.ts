/** One client address cannot take the places of the others. */
import { connect, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { askToUpgrade } from "#test-support/network/UpgradeByHand"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { EventLog } from "../../src/ports/EventLog.ts"

/** All that a socket has received. */
const received = (socket: Socket): (() => string) => {
  let text = ""
  socket.on("data", (data) => {
    text += data.toString("latin1")
  })
  return () => text
}

const connection = (port: number, from = "127.0.0.1") =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connect({ port, host: "127.0.0.1", localAddress: from }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const request = (path: string, forwardedFor?: string, upgrade = false) =>
  [
    `GET ${path} HTTP/1.1`,
    "Host: server",
    ...(forwardedFor === undefined ? [] : [`X-Forwarded-For: ${forwardedFor}`]),
    ...(upgrade ? ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"] : []),
    ...(upgrade ? ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] : []),
    "\r\n"
  ].join("\r\n")

/** The status of the answer to a request. */
const ask = Effect.fnUntraced(function* (port: number, text: string, from?: string) {
  const socket = yield* connection(port, from)
  const answer = received(socket)
  socket.write(text)
  yield* until("it is answered or cut off", () => answer().includes("\r\n") || socket.destroyed)
  return { socket, answer, status: Number(answer().slice("HTTP/1.1 ".length, "HTTP/1.1 ".length + 3)) }
})

/** A log that answers only after `release`, and then at once. */
const heldLog = Effect.gen(function* () {
  const gate = yield* Deferred.make<void>()
  let reads = 0
  const layer = Layer.effect(
    EventLog,
    Effect.map(EventLog, (log) =>
      EventLog.of({
        ...log,
        heads: (keys) => {
          reads += 1
          return Effect.andThen(Deferred.await(gate), log.heads(keys))
        },
        tail: (key, options) => {
          reads += 1
          return Effect.andThen(Deferred.await(gate), log.tail(key, options))
        }
      })
    )
  ).pipe(Layer.provide(layerMemory))
  return { layer, reads: () => reads, release: Deferred.succeed(gate, undefined) }
})

describe("an address with too many connections", () => {
  it.live("is answered with 429 before it has sent anything, and other addresses are served", () =>
    Effect.gen(function* () {
      const { port } = yield* startMemoryServer({ limits: { maxConnectionsPerAddress: 2 } })
      const [idle] = [yield* connection(port), yield* ask(port, request("/healthz"))]
      const third = yield* connection(port)
      const answer = received(third)
      yield* until("it is refused", () => answer().startsWith("HTTP/1.1 429 "))
      yield* until("its connection ends", () => third.destroyed)
      assert.strictEqual((yield* ask(port, request("/healthz"), "127.0.0.2")).status, 200)
      idle.destroy()
      yield* until(
        "its place is free",
        Effect.map(Effect.scoped(ask(port, request("/healthz"))), ({ status }) => status === 200)
      )
    })
  )

  it.live("behind a trusted proxy is the client's, by its WebSockets and its requests", () =>
    Effect.gen(function* () {
      const trustedProxies = ["127.0.0.0/30"]
      const server = yield* startMemoryServer({ trustedProxies, limits: { maxConnectionsPerAddress: 1 } })
      const token = yield* server.token("notes")
      const open = (client: string) => ask(server.port, request(`/a?sessionKey=${token}`, client, true))
      const health = (client: string | undefined, from?: string) =>
        Effect.map(ask(server.port, request("/healthz", client), from), ({ status }) => status)
      const first = yield* open("203.0.113.7")
      assert.strictEqual(first.status, 101)
      for (const client of ["203.0.113.7", "1.1.1.1, 203.0.113.7", "203.0.113.7, 127.0.0.2"]) {
        assert.strictEqual((yield* open(client)).status, 429, client)
        assert.strictEqual(yield* health(client), 429, client)
      }
      for (const client of ["203.0.113.8", "203.0.113.7, 203.0.113.9", undefined]) {
        assert.strictEqual(yield* health(client), 200, client)
      }
      assert.strictEqual((yield* open("2001:db8::1")).status, 101)
      assert.strictEqual(yield* health("2001:db8::2:3:4:5"), 429, "the same /64")
      assert.strictEqual(yield* health("2001:db8:0:1::1"), 200, "another /64")
      // From an address that is not trusted, the header says nothing.
      assert.strictEqual(yield* health("203.0.113.7", "127.0.0.9"), 200)
      first.socket.destroy()
      yield* until(
        "its place is free",
        Effect.map(Effect.scoped(health("203.0.113.7")), (status) => status === 200)
      )
    })
  )
})

describe("an address with too many requests in progress", () => {
  it.live("is refused with 429 before a route sees the request, and other addresses are served", () =>
    Effect.gen(function* () {
      const held = yield* Deferred.make<void>()
      let asked = 0
      const handler = Effect.suspend(() => {
        asked += 1
        return Effect.as(Deferred.await(held), HttpServerResponse.empty())
      })
      const routes = HttpRouter.add("GET", "/held", handler)
      const server = yield* startMemoryServer({ limits: { maxRequestsPerAddress: 2 }, routes })
      for (const count of [1, 2]) {
        const socket = yield* connection(server.port)
        socket.write(request("/held"))
        yield* until("the route is asked", () => asked === count)
      }
      assert.strictEqual((yield* ask(server.port, request("/held"))).status, 429)
      assert.strictEqual(asked, 2)
      assert.strictEqual((yield* ask(server.port, request("/healthz"), "127.0.0.2")).status, 200)
      yield* Deferred.succeed(held, undefined)
      yield* until(
        "there is room",
        Effect.map(Effect.scoped(ask(server.port, request("/healthz"))), ({ status }) => status === 200)
      )
    })
  )
})

describe("an address with too many handshakes", () => {
  it.live("is refused with 429 without a look at its token, until the others are settled", () =>
    Effect.gen(function* () {
      const log = yield* heldLog
      const server = yield* startMemoryServer({ limits: { maxHandshakesPerAddress: 2 } }, log.layer)
      const token = yield* server.token("notes")
      const open = (from?: string) => connection(server.port, from)
      const upgrade = request(`/a?sessionKey=${token}`, undefined, true)
      for (const socket of [yield* open(), yield* open()]) {
        const answer = received(socket)
        socket.write(upgrade)
        yield* until("it is upgraded, and its document is being opened", () => answer().startsWith("HTTP/1.1 101 "))
      }
      const reads = log.reads()
      for (const path of [`/a?sessionKey=${token}`, "/verdant"]) {
        assert.strictEqual((yield* ask(server.port, request(path, undefined, true))).status, 429)
      }
      assert.strictEqual(log.reads(), reads)
      assert.strictEqual((yield* ask(server.port, upgrade, "127.0.0.2")).status, 101)
      yield* log.release
      yield* until(
        "there is room",
        Effect.map(Effect.scoped(ask(server.port, upgrade)), ({ status }) => status === 101)
      )
    })
  )

  it.live("has room again once clients were refused", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ limits: { maxHandshakesPerAddress: 1 } })
      for (let i = 0; i < 5; i++) {
        const answer = received(yield* askToUpgrade(server.port, "/a?sessionKey=bad", { allowHalfOpen: true }))
        yield* until("it is refused", () => answer().includes("the token is not valid"))
        assert.match(answer(), /^HTTP\/1.1 101 /)
      }
      const token = yield* server.token("notes")
      for (const documentId of ["one", "two"]) yield* connectRaw({ url: server.url, documentId, token })
    })
  )
})
