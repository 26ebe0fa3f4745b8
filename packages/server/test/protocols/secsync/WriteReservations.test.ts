/** Who goes first when the snapshots of several clients race. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  makeWriteReservations,
  receiveReservation,
  reservationMessage
} from "../../../src/protocols/secsync/WriteReservations.ts"

/** Whether somebody may write now. */
const mayWrite = (turn: ReturnType<typeof makeWriteReservations>, id: string) =>
  Effect.map(Effect.timeoutOption(turn.await(id), 0), ({ _tag }) => _tag === "Some")

describe("a document's turn", () => {
  it.live("is nobody's until somebody asks for it, and then theirs in the order they asked", () =>
    Effect.gen(function* () {
      const turn = makeWriteReservations()
      const who = ["a", "b", "c"]
      const allowed = Effect.map(
        Effect.forEach(who, (id) => mayWrite(turn, id)),
        (may) => who.filter((_, i) => may[i])
      )
      assert.deepStrictEqual(yield* allowed, ["a", "b", "c"])
      turn.reserve({ id: "b", at: 1, writes: 1 })
      turn.reserve({ id: "a", at: 2, writes: 1 })
      turn.reserve({ id: "b", at: 3, writes: 1 })
      assert.deepStrictEqual(yield* allowed, ["b"])
      turn.release("c")
      turn.release("b")
      assert.deepStrictEqual(yield* allowed, ["a"])
      turn.release("a")
      assert.deepStrictEqual(yield* allowed, ["a", "b", "c"])
    })
  )

  it.live("is over when everything that it was given for is written", () =>
    Effect.gen(function* () {
      const turn = makeWriteReservations()
      turn.reserve({ id: "once", at: 1, writes: 1 })
      turn.reserve({ id: "twice", at: 2, writes: 2 })
      turn.wrote("another")
      assert.isFalse(yield* mayWrite(turn, "another"))
      turn.wrote("once")
      assert.isTrue(yield* mayWrite(turn, "twice"))
      turn.wrote("twice")
      assert.isFalse(yield* mayWrite(turn, "another"))
      turn.wrote("twice")
      assert.isTrue(yield* mayWrite(turn, "another"))
    })
  )

  it.effect("is over when who has it is silent for a second, for everybody who waits", () =>
    Effect.gen(function* () {
      const turn = makeWriteReservations()
      turn.reserve({ id: "silent", at: 1, writes: 1 })
      turn.reserve({ id: "silent too", at: 2, writes: 1 })
      const waiting = yield* Effect.forkChild(Effect.all([turn.await("a"), turn.await("b")], { concurrency: 2 }))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1001 millis")
      yield* Fiber.join(waiting)
    })
  )

  it.live("is the same on every process that heard of the same reservations, in whatever order", () =>
    Effect.gen(function* () {
      const [here, there] = [makeWriteReservations(), makeWriteReservations()]
      const said = [
        reservationMessage({ id: "b", at: 5, writes: 1 }),
        reservationMessage({ id: "c", at: 5, writes: 1 }),
        reservationMessage({ id: "a", at: 7, writes: 1 })
      ]
      for (const message of said) receiveReservation(here, message)
      for (const message of said.toReversed()) receiveReservation(there, message)
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
      const turn = makeWriteReservations()
      for (const text of [
        ...["", "null", "{}", '{"id":7,"at":1,"writes":1}', '{"id":"x","writes":1}', '{"id":"x","at":1,"writes":9}'],
        `{"id":"${"x".repeat(65)}","at":1,"writes":1}`
      ]) {
        receiveReservation(turn, Buffer.from(text))
      }
      assert.isTrue(yield* mayWrite(turn, "anybody"))
      for (let i = 0; i < 2000; i++) turn.reserve({ id: `client ${i}`, at: i, writes: 1 })
      for (let i = 0; i < 1000; i++) turn.release(`client ${i}`)
      assert.isTrue(yield* mayWrite(turn, "anybody"))
    })
  )
})
