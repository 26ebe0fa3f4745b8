/** A client that is refused an upgrade holds no connection of the server, even if it keeps its own side open. */
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { askToUpgrade } from "#test-support/network/UpgradeByHand"
import { startMemoryServer } from "#test-support/servers/TestServer"

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
    ["http://other/doc", 400, {}],
    ["/verdant", 503, { maxConnections: 0 }]
  ] as const) {
    it.live(`with ${status} ends the connection for both sides`, () =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer({ limits })
        const socket = yield* askToUpgrade(server.port, path, { allowHalfOpen: true })
        assert.match(yield* answerOf(socket), new RegExp(`^HTTP/1.1 ${status} `))
        // The server has destroyed its socket, so the operating system resets the connection on the next bytes.
        yield* Effect.repeat(
          Effect.sync(() => socket.write("x")),
          { schedule: Schedule.spaced("5 millis"), until: () => socket.destroyed }
        )
        assert.isTrue(socket.destroyed)
      })
    )
  }
})
