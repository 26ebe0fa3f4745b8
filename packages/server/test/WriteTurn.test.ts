/** Who goes first when the snapshots of several clients race. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { hearReservation, makeWriteTurn, reservationMessage } from "../src/protocols/secsync/WriteTurn.ts"

/** Whether somebody may write now. */
const mayWrite = (turn: ReturnType<typeof makeWriteTurn>, id: string) =>
  Effect.map(Effect.timeoutOption(turn.await(id), 0), ({ _tag }) => _tag === "Some")

describe("a document's turn", () => {
  it.live("is nobody's until somebody asks for it, and then theirs in the order they asked", () =>
    Effect.gen(function* () {
      const turn = makeWriteTurn()
      const who = ["a", "b", "c"]
      const allowed = Effect.map(
        Effect.forEach(who, (id) => mayWrite(turn, id)),
        (may) => who.filter((_, i) => may[i])
      )
      assert.deepStrictEqual(yield* allowed, ["a", "b", "c"])
      turn.reserve("b", 1)
      turn.reserve("a", 2)
      turn.reserve("b", 3)
      assert.deepStrictEqual(yield* allowed, ["b"])
      turn.release("c")
      turn.release("b")
      assert.deepStrictEqual(yield* allowed, ["a"])
      turn.release("a")
      assert.deepStrictEqual(yield* allowed, ["a", "b", "c"])
    })
  )

  it.effect("is over when who has it is silent for a second, for everybody who waits", () =>
    Effect.gen(function* () {
      const turn = makeWriteTurn()
      turn.reserve("silent", 1)
      turn.reserve("silent too", 2)
      const waiting = yield* Effect.forkChild(Effect.all([turn.await("a"), turn.await("b")], { concurrency: 2 }))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1001 millis")
      yield* Fiber.join(waiting)
    })
  )

  it.live("is the same on every process that heard of the same reservations, in whatever order", () =>
    Effect.gen(function* () {
      const [here, there] = [makeWriteTurn(), makeWriteTurn()]
      const said = [reservationMessage("b", 5), reservationMessage("c", 5), reservationMessage("a", 7)]
      for (const message of said) hearReservation(here, message)
      for (const message of said.toReversed()) hearReservation(there, message)
      for (const first of ["b", "c", "a"]) {
        for (const turn of [here, there]) {
          for (const id of ["a", "b", "c"]) assert.strictEqual(yield* mayWrite(turn, id), id === first)
          turn.release(first)
        }
      }
    })
  )

  it.live("is not taken by what is no reservation, nor by more than can be kept", () =>
    Effect.gen(function* () {
      const turn = makeWriteTurn()
      for (const text of ["", "null", "{}", '{"id":7,"at":1}', '{"id":"x"}', `{"id":"${"x".repeat(65)}","at":1}`]) {
        hearReservation(turn, Buffer.from(text))
      }
      assert.isTrue(yield* mayWrite(turn, "anybody"))
      for (let i = 0; i < 2000; i++) turn.reserve(`client ${i}`, i)
      for (let i = 0; i < 1000; i++) turn.release(`client ${i}`)
      assert.isTrue(yield* mayWrite(turn, "anybody"))
    })
  )
})
