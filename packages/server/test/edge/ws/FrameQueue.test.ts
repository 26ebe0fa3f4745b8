/** A client that sends faster than its frames are handled is not read any more, however small its frames are. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { socketPair } from "#test-support/network/SocketPair"
import { FrameQueue } from "../../../src/edge/ws/FrameQueue.ts"
import { SocketReading } from "../../../src/edge/ws/SocketReading.ts"
import { SharedBytes } from "../../../src/internal/SharedBytes.ts"

const MB = 1024 * 1024
const FRAMES = 200_000

describe("a frame queue", () => {
  for (const frame of ["", "1"]) {
    it.live(`takes a bounded number of frames like ${JSON.stringify(frame)} before it is open`, () =>
      Effect.gen(function* () {
        const { client, serving } = yield* socketPair
        const owner = {
          handle: (_texts: unknown, _length: number, done: () => void) => done(),
          ended: () => {}
        }
        const frames = new FrameQueue(serving, owner, new SocketReading(serving), new SharedBytes(MB))
        let arrived = 0
        const ended = Effect.callback<"paused" | "all taken">((resume) => {
          serving.on("message", (data, isBinary) => {
            frames.receive(data, isBinary)
            arrived += 1
            if (serving.isPaused) resume(Effect.succeed("paused"))
            else if (arrived === FRAMES) resume(Effect.succeed("all taken"))
          })
          for (let i = 0; i < FRAMES; i++) client.send(frame)
        })
        assert.strictEqual(yield* ended, "paused")
        frames.open()
        yield* Effect.callback<void>((resume) => {
          serving.on("message", () => arrived === FRAMES && resume(Effect.void))
          if (arrived === FRAMES) resume(Effect.void)
        })
        yield* frames.handled
        assert.isFalse(serving.isPaused)
      })
    )
  }

  for (const others of [0, 2 * MB]) {
    it.live(
      `that is open takes ${others === 0 ? "1 MiB" : "64 KiB, while those of other clients are full,"} before it pauses`,
      () =>
        Effect.gen(function* () {
          const { serving } = yield* socketPair
          const waitingForAll = new SharedBytes(MB)
          waitingForAll.add(others)
          const owner = { handle: () => {}, ended: () => {} }
          const frames = new FrameQueue(serving, owner, new SocketReading(serving), waitingForAll)
          frames.open()
          const frame = Buffer.alloc(1000, "x")
          let taken = 0
          while (!serving.isPaused) {
            frames.receive(frame, false)
            taken += 1
          }
          assert.approximately((taken * frame.length) / 1024, others === 0 ? 1024 : 64, 100)
        })
    )
  }
})
