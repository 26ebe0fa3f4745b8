/** Who is refused a WebSocket holds nothing of the server's any more, whatever he does with his end of the connection. */
import { connect, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { startMemoryServer } from "./support/MemoryServer.ts"

/** Asks for a WebSocket, and never ends its own side of the connection. */
const askToUpgrade = (port: number, path: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
      socket.on("error", () => {})
      const head = [`GET ${path} HTTP/1.1`, "Host: server", "Connection: Upgrade", "Upgrade: websocket"]
      const key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
      socket.write(`${[...head, ...key].join("\r\n")}\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const answerOf = (socket: Socket) =>
  Effect.callback<string>((resume) => {
    let answer = ""
    socket.on("data", (data) => {
      answer += String(data)
    })
    socket.on("end", () => resume(Effect.succeed(answer)))
  })

describe("a refused upgrade", () => {
  for (const [path, status, limits] of [
    ["/verdant", 401, {}],
    ["/%zz", 400, {}],
    ["/verdant", 503, { maxConnections: 0 }]
  ] as const) {
    it.live(`with ${status} ends the connection for both sides`, () =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer({ limits })
        const socket = yield* askToUpgrade(server.port, path)
        assert.match(yield* answerOf(socket), new RegExp(`^HTTP/1.1 ${status} `))
        // What arrives where nobody is any more is answered with a reset.
        yield* Effect.repeat(
          Effect.sync(() => socket.write("x")),
          { schedule: Schedule.spaced("5 millis"), until: () => socket.destroyed }
        )
        assert.isTrue(socket.destroyed)
      })
    )
  }
})
