/** A client whose frames take long to read waits afterwards, and the other clients go on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { socketPair } from "#test-support/network/SocketPair"
import { FrameQueue } from "../../../src/edge/ws/FrameQueue.ts"

/** A queue that is told how long its frames took to read, and the texts that it has handled. */
const queueWith = (millis: number) =>
  Effect.gen(function* () {
    const { serving } = yield* socketPair
    const handled: Array<string> = []
    const context = yield* Effect.context<never>()
    const frames = new FrameQueue(serving, {
      handle: (texts) =>
        Effect.sync(() => {
          handled.push(...texts)
          return millis
        }),
      run: (effect) => void Effect.runForkWith(context)(effect),
      ended: () => {}
    })
    frames.open()
    return { frames, handled }
  })

/** Frames of a size that counts. */
const text = (name: string) => name.repeat(100_000)
const frame = (name: string) => Buffer.from(text(name))

describe("frames that take long to read", () => {
  it.effect("make their client wait for four times as long before the next ones are read", () =>
    Effect.gen(function* () {
      const { frames, handled } = yield* queueWith(100)
      frames.receive(frame("1"), false)
      frames.receive(frame("2"), false)
      yield* TestClock.adjust("399 millis")
      assert.deepStrictEqual(handled, ["1"].map(text))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(handled, ["1", "2"].map(text))
    })
  )
})

describe("small frames", () => {
  it.effect("follow each other at once, however long the process took", () =>
    Effect.gen(function* () {
      const { frames, handled } = yield* queueWith(100)
      for (const name of ["1", "2", "3"]) frames.receive(Buffer.from(name), false)
      yield* TestClock.adjust("0 millis")
      assert.deepStrictEqual(handled, ["1", "2", "3"])
    })
  )
})

describe("frames that are read quickly", () => {
  it.effect("follow each other at once", () =>
    Effect.gen(function* () {
      const { frames, handled } = yield* queueWith(10)
      for (const name of ["1", "2", "3"]) frames.receive(frame(name), false)
      yield* TestClock.adjust("0 millis")
      assert.deepStrictEqual(handled, ["1", "2", "3"].map(text))
    })
  )
})
