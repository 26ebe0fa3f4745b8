/** However small the frames are that a client sends faster than they are handled: at some number it is not read any more. */
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { WebSocket, WebSocketServer } from "ws"
import { Inbox } from "../src/edge/Inbox.ts"

const FRAMES = 200_000

/** Both ends of a connection. */
const connected = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocketServer({ port: 0, host: "127.0.0.1" })),
    (server) => Effect.sync(() => server.close())
  )
  yield* Effect.promise(() => once(server, "listening"))
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    (client) => Effect.sync(() => client.terminate())
  )
  const [[serving]] = yield* Effect.promise(() => Promise.all([once(server, "connection"), once(client, "open")]))
  return { client, serving: serving as WebSocket }
})

describe("an inbox", () => {
  for (const frame of ["", "1"]) {
    it.live(`that is not handled yet takes a bounded number of frames like ${JSON.stringify(frame)}`, () =>
      Effect.gen(function* () {
        const { client, serving } = yield* connected
        const inbox = new Inbox(serving, {
          handle: () => Effect.void,
          run: (effect) => void Effect.runFork(effect),
          over: () => {}
        })
        let arrived = 0
        const ended = Effect.callback<"not read any more" | "all taken">((resume) => {
          serving.on("message", (data, isBinary) => {
            inbox.receive(data, isBinary)
            arrived += 1
            if (serving.isPaused) resume(Effect.succeed("not read any more"))
            else if (arrived === FRAMES) resume(Effect.succeed("all taken"))
          })
          for (let i = 0; i < FRAMES; i++) client.send(frame)
        })
        assert.strictEqual(yield* ended, "not read any more")
        inbox.open()
        yield* Effect.callback<void>((resume) => {
          serving.on("message", () => arrived === FRAMES && resume(Effect.void))
          if (arrived === FRAMES) resume(Effect.void)
        })
        assert.isFalse(serving.isPaused)
      })
    )
  }
})
