/** While the memory is short, the stream that was opened first has what is left of it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { nextTurn } from "../../src/internal/nextTurn.ts"
import { OpeningGaveWay, type OpeningLimits, Openings } from "../../src/rooms/Openings.ts"

/** Openings in a memory that is short when the test says so. */
const withOpenings = <A, E>(
  test: (openings: Openings["Service"], memory: { isShort: boolean }) => Effect.Effect<A, E, Scope.Scope>,
  limits: OpeningLimits = {}
) => {
  const memory = { isShort: false }
  const run = Effect.flatMap(Openings, (openings) => test(openings, memory))
  return Effect.provide(
    Effect.scoped(run),
    Openings.layer(limits, () => memory.isShort)
  )
}

describe("openings while the memory is short", () => {
  it.live("go on one after the other, the oldest first", () =>
    withOpenings(
      Effect.fnUntraced(function* (openings, memory) {
        const [first, second] = [yield* Scope.make(), yield* Scope.make()]
        const older = yield* Scope.provide(openings.begin, first)
        const younger = yield* Scope.provide(openings.begin, second)
        memory.isShort = true
        const order: Array<string> = []
        const reading = yield* Effect.forkChild(younger(Effect.sync(() => order.push("younger"))))
        yield* nextTurn
        for (let i = 0; i < 3; i++) yield* older(Effect.sync(() => order.push("older")))
        yield* Scope.close(first, Exit.void)
        yield* Fiber.join(reading)
        assert.deepStrictEqual(order, ["older", "older", "older", "younger"])
        yield* Scope.close(second, Exit.void)
      })
    )
  )

  it.live("all go on once there is memory", () =>
    withOpenings(
      Effect.fnUntraced(function* (openings, memory) {
        yield* openings.begin
        const younger = yield* openings.begin
        memory.isShort = true
        const reading = yield* Effect.forkChild(younger(Effect.succeed("read")))
        yield* nextTurn
        memory.isShort = false
        assert.strictEqual(yield* Fiber.join(reading), "read")
      })
    )
  )

  it.live("give way to the oldest, also those that wait", () =>
    withOpenings(
      Effect.fnUntraced(function* (openings, memory) {
        const older = yield* openings.begin
        const younger = [yield* openings.begin, yield* openings.begin]
        memory.isShort = true
        const waiting = yield* Effect.forkChild(Effect.flip(younger[0]!(Effect.void)))
        yield* nextTurn
        assert.strictEqual(openings.giveWay(), 2)
        assert.strictEqual(openings.giveWay(), 0)
        assert.instanceOf(yield* Fiber.join(waiting), OpeningGaveWay)
        memory.isShort = false
        assert.instanceOf(yield* Effect.flip(younger[1]!(Effect.void)), OpeningGaveWay)
        assert.strictEqual(yield* older(Effect.succeed("read")), "read")
        // An opening that begins later goes on.
        assert.strictEqual(yield* (yield* openings.begin)(Effect.succeed("read")), "read")
      })
    )
  )

  it.live("wait also if they had their place in the line before", () =>
    withOpenings(
      Effect.fnUntraced(function* (openings, memory) {
        const scope = yield* Scope.make()
        const older = yield* Scope.provide(openings.begin, scope)
        const younger = [yield* openings.begin, yield* openings.begin]
        const order: Array<string> = []
        const isRead = yield* Deferred.make<void>()
        const reading = yield* Effect.forkChild(older(Deferred.await(isRead)))
        yield* nextTurn
        const waiting = yield* Effect.forEach(younger, (inTurn, i) =>
          Effect.forkChild(Effect.flip(inTurn(Effect.sync(() => order.push(`younger ${i}`)))))
        )
        yield* nextTurn
        memory.isShort = true
        yield* Deferred.succeed(isRead, undefined)
        yield* Fiber.join(reading)
        yield* nextTurn
        yield* older(Effect.sync(() => order.push("older")))
        openings.giveWay()
        for (const fiber of waiting) assert.instanceOf(yield* Fiber.join(fiber), OpeningGaveWay)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(order, ["older"])
        // The line has its place back.
        assert.strictEqual(yield* (yield* openings.begin)(Effect.succeed("read")), "read")
      }),
      { maxOpenings: 1 }
    )
  )
})
