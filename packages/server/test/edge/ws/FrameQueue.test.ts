/** A client that sends faster than its frames are handled is not read any more, however small its frames are. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { socketPair } from "#test-support/network/SocketPair"
import { FrameQueue } from "../../../src/edge/ws/FrameQueue.ts"

const FRAMES = 200_000

describe("a frame queue", () => {
  for (const frame of ["", "1"]) {
    it.live(`takes a bounded number of frames like ${JSON.stringify(frame)} before it is open`, () =>
      Effect.gen(function* () {
        const { client, serving } = yield* socketPair
        const frames = new FrameQueue(serving, {
          handle: () => Effect.succeed(0),
          run: (effect) => void Effect.runFork(effect),
          ended: () => {}
        })
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
        assert.isFalse(serving.isPaused)
      })
    )
  }
})
