/** However small the frames are that a client sends faster than they are handled: at some number it is not read any more. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { socketPair } from "#test-support/network/SocketPair"
import { FrameQueue } from "../../../src/edge/ws/FrameQueue.ts"

const FRAMES = 200_000

describe("an inbox", () => {
  for (const frame of ["", "1"]) {
    it.live(`that is not handled yet takes a bounded number of frames like ${JSON.stringify(frame)}`, () =>
      Effect.gen(function* () {
        const { client, serving } = yield* socketPair
        const inbox = new FrameQueue(serving, {
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
