/** Work in steps gives the same as work at once, and every step is small. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { allAtOnce, STEP_ITEMS, sorted } from "../../src/domain/Steps.ts"

interface Item {
  readonly key: number
  readonly place: number
}

const byKey = (a: Item, b: Item) => a.key - b.key
const itemsOf = (keys: ReadonlyArray<number>): ReadonlyArray<Item> => keys.map((key, place) => ({ key, place }))

describe("sorting in steps", () => {
  it.effect.prop(
    "gives what sorting at once gives, and keeps the order of equal items",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })))],
    ([keys]) =>
      Effect.sync(() => {
        const items = itemsOf(Array.from({ length: 60 }, () => keys).flat())
        assert.deepStrictEqual(allAtOnce(sorted(items, byKey)), items.toSorted(byKey))
      })
  )

  it("compares few items in one step", () => {
    const items = itemsOf(Array.from({ length: 20_000 }, () => Math.random()))
    let compared = 0
    const steps = sorted(items, (a, b) => {
      compared += 1
      return byKey(a, b)
    })
    for (let done: boolean | undefined = false; !done; { done } = steps.next()) {
      assert.isAtMost(compared, 10 * STEP_ITEMS)
      compared = 0
    }
  })
})
