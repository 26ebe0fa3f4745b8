/** Large messages that arrive have room within one budget, and users take turns. */
import { assert, describe, it } from "@effect/vitest"
import { ReceiveBudget, type Reservation } from "../../src/edge/ReceiveBudget.ts"

const MB = 1024 * 1024

/** A budget of 128 MiB, and the reservations that it granted and found too slow, by name and in order. */
const makeBudget = () => {
  const budget = new ReceiveBudget(128 * MB)
  const granted: Array<string> = []
  const tooSlow: Array<string> = []
  const reserve = (name: string, user: string, bytes: number): Reservation =>
    budget.reserve({ user, bytes, granted: () => granted.push(name), tooSlow: () => tooSlow.push(name) })
  return { budget, granted, tooSlow, reserve }
}

describe("the budget of messages that arrive", () => {
  it("has room for some, and the others follow when room is given back", () => {
    const { budget, granted, reserve } = makeBudget()
    const users = Array.from({ length: 20 }, (_, i) => `user ${i}`)
    const reservations = users.map((user) => reserve(user, user, 32 * MB))
    assert.deepStrictEqual(granted, users.slice(0, 4))
    for (const reservation of reservations) {
      assert.isTrue(reservation.isGranted)
      assert.isAtMost(budget.reserved, 128 * MB)
      reservation.release()
    }
    assert.deepStrictEqual(granted, users)
    assert.strictEqual(budget.reserved, 0)
  })

  it("gives one user half of the room, and the next room to the user who has least", () => {
    const { granted, reserve } = makeBudget()
    const own = Array.from({ length: 100 }, (_, i) => reserve(`mallory ${i}`, "mallory", 32 * MB))
    assert.deepStrictEqual(granted, ["mallory 0", "mallory 1"])
    const others = ["ada", "grace", "joan"].map((user) => reserve(user, user, 32 * MB))
    assert.deepStrictEqual(granted.slice(2), ["ada", "grace"])
    own[0]!.release()
    assert.deepStrictEqual(granted.slice(4), ["joan"])
    others[0]!.release()
    assert.deepStrictEqual(granted.slice(5), ["mallory 2"])
  })

  it("has no message wait for ever behind smaller ones", () => {
    const { granted, reserve } = makeBudget()
    const first = ["a", "b"].map((user) => reserve(user, user, 60 * MB))
    reserve("large", "c", 64 * MB)
    reserve("small", "d", MB)
    assert.deepStrictEqual(granted, ["a", "b"])
    first[0]!.release()
    assert.deepStrictEqual(granted, ["a", "b", "large", "small"])
  })

  it("takes a message that is larger than half of it, and one that gives up", () => {
    const { budget, granted, reserve } = makeBudget()
    const large = reserve("large", "ada", 100 * MB)
    const second = reserve("second", "ada", MB)
    const third = reserve("third", "ada", MB)
    second.release()
    second.release()
    assert.deepStrictEqual(granted, ["large"])
    large.release()
    assert.deepStrictEqual(granted, ["large", "third"])
    third.release()
    assert.strictEqual(budget.reserved, 0)
  })
})

describe("a message that arrives too slowly", () => {
  const looks = (budget: ReceiveBudget, count: number): void => {
    for (let i = 0; i < count; i++) budget.lookAtProgress()
  }

  it("may take its time while no other waits for its room", () => {
    const { budget, tooSlow, reserve } = makeBudget()
    reserve("slow", "ada", 32 * MB)
    looks(budget, 10)
    assert.deepStrictEqual(tooSlow, [])
  })

  it("is ended while others wait, and one that makes progress or is complete is not", () => {
    const { budget, tooSlow, reserve } = makeBudget()
    const [, steady, complete] = ["stalled", "steady", "complete"].map((name) => reserve(name, name, 40 * MB))
    complete!.complete()
    reserve("waiting", "ada", 32 * MB)
    looks(budget, 1)
    assert.deepStrictEqual(tooSlow, [])
    steady!.received += 100 * 1024
    looks(budget, 1)
    assert.deepStrictEqual(tooSlow, ["stalled"])
    // One look without progress does not count: the line may have stalled.
    looks(budget, 1)
    steady!.received += 100 * 1024
    looks(budget, 1)
    assert.notInclude(tooSlow, "steady")
  })
})
