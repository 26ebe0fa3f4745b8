/** Turns of users: one who sends much makes itself wait, and nobody else. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { UserTurns } from "../../src/edge/UserTurns.ts"

const LARGE = 100_000
const SMALL = 1000
/** Turns of a user at a time, for small messages. */
const SMALL_TURNS = 4

/** Turns, and the messages whose turns have begun, in order. */
const makeTurns = Effect.gen(function* () {
  const context = yield* Effect.context<never>()
  const clock = yield* TestClock.testClockWith(Effect.succeed)
  const turns = new UserTurns(
    (effect) => Effect.runForkWith(context)(effect),
    () => clock.currentTimeMillisUnsafe()
  )
  const begun: Array<string> = []
  /** Handles a message of so many characters until the effect completes. */
  const begin = (name: string, user: string, length: number, until: Effect.Effect<void>) =>
    turns
      .inTurn(
        user,
        length,
        Effect.andThen(
          Effect.sync(() => void begun.push(name)),
          until
        )
      )
      .pipe(Effect.forkChild({ startImmediately: true }))
  /** Lets those begin whose turn it is: the next turn begins in a later turn of the event loop. */
  const settled = Effect.promise(() => new Promise((resolve) => setTimeout(resolve))).pipe(
    Effect.andThen(TestClock.adjust("0 millis")),
    Effect.repeat({ times: 3 })
  )
  const after = (millis: number) => Effect.andThen(TestClock.adjust(millis), settled)
  return { begin, begun, settled, after, ada: begin("ada", "ada", SMALL, Effect.void) }
})

describe("while another user sends as well, large messages that take long", () => {
  it.effect("make the next of their user wait for four times as long, on whatever connection", () =>
    Effect.gen(function* () {
      const { ada, after, begin, begun } = yield* makeTurns
      yield* ada
      for (const name of ["1", "2", "3"]) yield* begin(name, "mallory", LARGE, Effect.sleep(100))
      yield* after(100)
      assert.deepStrictEqual(begun, ["ada", "1"])
      yield* after(399)
      assert.deepStrictEqual(begun, ["ada", "1"])
      yield* after(1)
      assert.deepStrictEqual(begun, ["ada", "1", "2"])
      yield* after(500)
      assert.deepStrictEqual(begun, ["ada", "1", "2", "3"])
    })
  )

  it.effect("hold up no other user, and no small message", () =>
    Effect.gen(function* () {
      const { ada, begin, begun, settled } = yield* makeTurns
      yield* ada
      yield* begin("1", "mallory", LARGE, Effect.never)
      yield* begin("other user", "bob", LARGE, Effect.never)
      yield* begin("small", "mallory", SMALL, Effect.never)
      yield* settled
      assert.deepStrictEqual(begun, ["ada", "1", "other user", "small"])
    })
  )

  it.effect("do not wait any more when they are interrupted, and those behind them have their turn", () =>
    Effect.gen(function* () {
      const { ada, after, begin, begun } = yield* makeTurns
      yield* ada
      yield* begin("1", "mallory", LARGE, Effect.sleep(100))
      const second = yield* begin("2", "mallory", LARGE, Effect.void)
      yield* begin("3", "mallory", LARGE, Effect.void)
      yield* Fiber.interrupt(second)
      yield* after(100)
      yield* after(400)
      assert.deepStrictEqual(begun, ["ada", "1", "3"])
    })
  )

  it.effect("follow each other at once when they are quick", () =>
    Effect.gen(function* () {
      const { ada, begin, begun, settled } = yield* makeTurns
      yield* ada
      for (const name of ["1", "2", "3"]) yield* begin(name, "mallory", LARGE, Effect.void)
      yield* settled
      assert.deepStrictEqual(begun, ["ada", "1", "2", "3"])
    })
  )
})

describe("while another user sends as well, small messages", () => {
  it.effect("of one user are handled a few at a time, in the order of their arrival", () =>
    Effect.gen(function* () {
      const { ada, begin, begun, settled } = yield* makeTurns
      yield* ada
      const done = yield* Deferred.make<void>()
      const names = Array.from({ length: 10 }, (_, i) => String(i))
      for (const name of names) yield* begin(name, "mallory", SMALL, Deferred.await(done))
      yield* begin("bob", "bob", SMALL, Effect.void)
      yield* settled
      assert.deepStrictEqual(begun, ["ada", ...names.slice(0, SMALL_TURNS), "bob"])
      yield* Deferred.succeed(done, undefined)
      yield* settled
      assert.deepStrictEqual(begun, ["ada", ...names.slice(0, SMALL_TURNS), "bob", ...names.slice(SMALL_TURNS)])
    })
  )

  it.effect("have their turns after one of them was interrupted", () =>
    Effect.gen(function* () {
      const { ada, begin, begun, settled } = yield* makeTurns
      yield* ada
      const done = yield* Deferred.make<void>()
      for (let i = 0; i < SMALL_TURNS; i++) yield* begin("first", "mallory", SMALL, Deferred.await(done))
      const gone = yield* begin("gone", "mallory", SMALL, Effect.void)
      yield* begin("last", "mallory", SMALL, Effect.void)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.interrupt(gone)
      yield* settled
      assert.deepStrictEqual(begun, ["ada", "first", "first", "first", "first", "last"])
    })
  )
})

it.effect("while one user alone sends, nothing waits", () =>
  Effect.gen(function* () {
    const { after, begin, begun, settled } = yield* makeTurns
    yield* begin("first", "mallory", SMALL, Effect.void)
    yield* after(1000)
    for (let i = 0; i < 10; i++) yield* begin("small", "mallory", SMALL, Effect.never)
    for (let i = 0; i < 10; i++) yield* begin("large", "mallory", LARGE, Effect.never)
    yield* settled
    assert.strictEqual(begun.length, 21)
  })
)
