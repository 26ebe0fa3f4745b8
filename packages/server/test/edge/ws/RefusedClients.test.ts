/** Clients that are refused and do not answer the closing handshake take no places from other clients. */
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { askToUpgrade } from "#test-support/network/UpgradeByHand"
import { startMemoryServer, type TestServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"

/** Connects with a bad token, and waits until the server has sent its close frame. */
const beRefused = Effect.fnUntraced(function* (server: TestServer) {
  const socket: Socket = yield* askToUpgrade(server.port, "/notes?sessionKey=bad", { allowHalfOpen: true })
  let received = ""
  socket.on("data", (data) => {
    received += data.toString("latin1")
  })
  yield* until("the close frame arrives", () => received.includes("the token is not valid"))
  assert.isFalse(socket.destroyed, "the closing handshake is still open")
})

describe("a refused client that does not close", () => {
  it.live("takes no place from a client with a good token", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ limits: { maxConnections: 2, maxHandshakes: 2 } })
      for (let i = 0; i < 5; i++) yield* beRefused(server)
      const token = yield* server.token("notes")
      for (const documentId of ["one", "two"]) yield* connectRaw({ url: server.url, documentId, token })
    })
  )

  it.live("leaves the limit of connections to the admitted clients, which free their places as they go", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ limits: { maxConnections: 1 } })
      const options = { url: server.url, documentId: "notes", token: yield* server.token("notes") }
      const first = yield* connectRaw(options)
      const status = yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${server.port}/healthz`)).status)
      assert.strictEqual(status, 200)
      const second = yield* askToUpgrade(server.port, `/notes?sessionKey=${options.token}`)
      let answer = ""
      second.on("data", (data) => {
        answer += String(data)
      })
      yield* until("the further upgrade is refused", () => answer.startsWith("HTTP/1.1 503 "))
      first.socket.close()
      yield* first.closed
      yield* connectRaw(options)
    })
  )
})
