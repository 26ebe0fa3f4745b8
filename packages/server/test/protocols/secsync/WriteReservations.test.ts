/** The order of writes when the snapshots of several clients race. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  makeWriteReservations,
  receiveReservation,
  reservationMessage
} from "../../../src/protocols/secsync/WriteReservations.ts"

/** Whether a connection may write now. */
const mayWrite = (reservations: ReturnType<typeof makeWriteReservations>, id: string) =>
  Effect.map(Effect.timeoutOption(reservations.await(id), 0), ({ _tag }) => _tag === "Some")

describe("write reservations", () => {
  it.live("let every connection write until one reserves, and then only the first by time", () =>
    Effect.gen(function* () {
      const reservations = makeWriteReservations()
      const ids = ["a", "b", "c"]
      const allowed = Effect.map(
        Effect.forEach(ids, (id) => mayWrite(reservations, id)),
        (may) => ids.filter((_, i) => may[i])
      )
      assert.deepStrictEqual(yield* allowed, ["a", "b", "c"])
      reservations.reserve({ id: "b", at: 1, writes: 1 })
      reservations.reserve({ id: "a", at: 2, writes: 1 })
      reservations.reserve({ id: "b", at: 3, writes: 1 })
      assert.deepStrictEqual(yield* allowed, ["b"])
      reservations.release("c")
      reservations.release("b")
      assert.deepStrictEqual(yield* allowed, ["a"])
      reservations.release("a")
      assert.deepStrictEqual(yield* allowed, ["a", "b", "c"])
    })
  )

  it.live("end after the number of writes that they are for", () =>
    Effect.gen(function* () {
      const reservations = makeWriteReservations()
      reservations.reserve({ id: "once", at: 1, writes: 1 })
      reservations.reserve({ id: "twice", at: 2, writes: 2 })
      reservations.wrote("another")
      assert.isFalse(yield* mayWrite(reservations, "another"))
      reservations.wrote("once")
      assert.isTrue(yield* mayWrite(reservations, "twice"))
      reservations.wrote("twice")
      assert.isFalse(yield* mayWrite(reservations, "another"))
      reservations.wrote("twice")
      assert.isTrue(yield* mayWrite(reservations, "another"))
    })
  )

  it.effect("end after a second in which their connection does not write, for all that wait", () =>
    Effect.gen(function* () {
      const reservations = makeWriteReservations()
      reservations.reserve({ id: "silent", at: 1, writes: 1 })
      reservations.reserve({ id: "silent too", at: 2, writes: 1 })
      const waiting = yield* Effect.forkChild(
        Effect.all([reservations.await("a"), reservations.await("b")], { concurrency: 2 })
      )
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1001 millis")
      yield* Fiber.join(waiting)
    })
  )

  it.live("have the same order on every process, in whatever order they were received", () =>
    Effect.gen(function* () {
      const [here, there] = [makeWriteReservations(), makeWriteReservations()]
      const messages = [
        reservationMessage({ id: "b", at: 5, writes: 1 }),
        reservationMessage({ id: "c", at: 5, writes: 1 }),
        reservationMessage({ id: "a", at: 7, writes: 1 })
      ]
      for (const message of messages) receiveReservation(here, message)
      for (const message of messages.toReversed()) receiveReservation(there, message)
      for (const first of ["b", "c", "a"]) {
        for (const reservations of [here, there]) {
          for (const id of ["a", "b", "c"]) assert.strictEqual(yield* mayWrite(reservations, id), id === first)
          reservations.release(first)
        }
      }
    })
  )

  it.live("ignore malformed messages and more than 1,000 reservations", () =>
    Effect.gen(function* () {
      const reservations = makeWriteReservations()
      for (const text of [
        ...["", "null", "{}", '{"id":7,"at":1,"writes":1}', '{"id":"x","writes":1}', '{"id":"x","at":1,"writes":9}'],
        `{"id":"${"x".repeat(65)}","at":1,"writes":1}`
      ]) {
        receiveReservation(reservations, Buffer.from(text))
      }
      assert.isTrue(yield* mayWrite(reservations, "another"))
      for (let i = 0; i < 2000; i++) reservations.reserve({ id: `client ${i}`, at: i, writes: 1 })
      for (let i = 0; i < 1000; i++) reservations.release(`client ${i}`)
      assert.isTrue(yield* mayWrite(reservations, "another"))
    })
  )
})
