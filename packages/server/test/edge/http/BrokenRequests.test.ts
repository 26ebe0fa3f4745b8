/** Requests that the parser refuses are answered as Node answers them, and counted. */
import { connect, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { scrape, untilRisen } from "#test-support/servers/scrape"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"

/** Sends a text, and returns all that comes back until the connection ends. */
const ask = Effect.fnUntraced(function* (port: number, text: string) {
  let answer = ""
  const socket = yield* Effect.acquireRelease(
    Effect.sync((): Socket => connect(port, "127.0.0.1").on("error", () => {})),
    (socket) => Effect.sync(() => socket.destroy())
  )
  socket.on("data", (data) => {
    answer += String(data)
  })
  socket.write(text)
  yield* until("the connection ends", () => socket.closed)
  return answer
})

describe("a request that is not HTTP, or too large", () => {
  it.live("is answered with 400 or 431, and counted", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ metrics: { port: 0 } })
      const before = yield* scrape(server)
      assert.match(yield* ask(server.port, "nonsense\r\n\r\n"), /^HTTP\/1\.1 400 /)
      const head = `GET / HTTP/1.1\r\nHost: server\r\nX-Long: ${"x".repeat(70_000)}\r\n\r\n`
      assert.match(yield* ask(server.port, head), /^HTTP\/1\.1 431 /)
      for (const status of ["400", "431"]) {
        yield* untilRisen(server, before, "sealog_requests_refused_total", { status, reason: "malformed" })
      }
    })
  )
})
