/** Large messages that take long to read make their user wait afterwards, and the other users go on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { SlowLanes } from "../../src/edge/SlowLanes.ts"

const LARGE = 100_000
const SMALL = 1000

/** Lanes, and the messages that were read in them, in order. */
const makeLanes = Effect.gen(function* () {
  const context = yield* Effect.context<never>()
  const lanes = new SlowLanes((effect) => Effect.runForkWith(context)(effect))
  const read: Array<string> = []
  /** Reads a message of so many characters, which takes so long. */
  const begin = (name: string, user: string, length: number, millis: number) =>
    lanes
      .inTurn(user, length, ({ end }) =>
        Effect.sync(() => {
          read.push(name)
          end(millis)
        })
      )
      .pipe(Effect.forkChild({ startImmediately: true }))
  return { begin, read, settled: TestClock.adjust("0 millis") }
})

describe("large messages that take long to read", () => {
  it.effect("make all messages of their user wait for four times as long, on whatever connection", () =>
    Effect.gen(function* () {
      const { begin, read, settled } = yield* makeLanes
      for (const name of ["1", "2", "3"]) yield* begin(name, "mallory", LARGE, 100)
      yield* settled
      assert.deepStrictEqual(read, ["1"])
      yield* TestClock.adjust("399 millis")
      assert.deepStrictEqual(read, ["1"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(read, ["1", "2"])
      yield* TestClock.adjust("400 millis")
      assert.deepStrictEqual(read, ["1", "2", "3"])
    })
  )

  it.effect("hold up no other user, and no small message", () =>
    Effect.gen(function* () {
      const { begin, read, settled } = yield* makeLanes
      yield* begin("1", "mallory", LARGE, 100)
      yield* begin("other user", "ada", LARGE, 100)
      yield* begin("small", "mallory", SMALL, 100)
      yield* begin("small again", "mallory", SMALL, 100)
      yield* settled
      assert.deepStrictEqual(read, ["1", "other user", "small", "small again"])
    })
  )

  it.effect("do not wait any more when they are interrupted, and those behind them have their turn", () =>
    Effect.gen(function* () {
      const { begin, read } = yield* makeLanes
      yield* begin("1", "mallory", LARGE, 100)
      const second = yield* begin("2", "mallory", LARGE, 100)
      yield* begin("3", "mallory", LARGE, 100)
      yield* Fiber.interrupt(second)
      yield* TestClock.adjust("400 millis")
      assert.deepStrictEqual(read, ["1", "3"])
    })
  )
})

describe("large messages that are read quickly", () => {
  it.effect("follow each other at once", () =>
    Effect.gen(function* () {
      const { begin, read, settled } = yield* makeLanes
      for (const name of ["1", "2", "3"]) yield* begin(name, "ada", LARGE, 10)
      yield* settled
      assert.deepStrictEqual(read, ["1", "2", "3"])
    })
  )
})
