/** Reading and writing JSON in steps gives what the engine gives, and no step is long. */
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { parsed, stringified } from "../../src/domain/JsonInSteps.ts"
import { allAtOnce } from "../../src/domain/Steps.ts"

/** Values of which a few hundred are longer than what is read at once. */
const long = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 50, maxLength: 500 }) },
    { weight: 1, arbitrary: fc.constantFrom('"', "\\", '\\"', "[,]", "{}:", "é€😀", "__proto__", "10", "9", "") }
  ),
  { minLength: 1, maxLength: 20 }
)
const listOf = (items: ReadonlyArray<unknown>) => Array.from({ length: 400 }, (_, i) => items[i % items.length])
const objectOf = (items: ReadonlyArray<unknown>) =>
  Object.fromEntries(
    listOf(items).map((item, i) => [i % 3 === 0 ? String(1000 - i) : `${JSON.stringify(item).slice(0, 20)}${i}`, item])
  )
const shapes = [
  listOf,
  objectOf,
  (items: ReadonlyArray<unknown>) => [1, listOf(items), objectOf(items), "x".repeat(70_000), 2],
  (items: ReadonlyArray<unknown>) => ({
    a: 1,
    'b:"': objectOf(items),
    c: [listOf(items)],
    d: {},
    e: "y".repeat(70_000)
  })
]
const value = fc.tuple(fc.constantFrom(...shapes), long).map(([shape, items]) => shape(items))
const RUNS = { numRuns: 60 }

describe("JSON in steps", () => {
  it("is read as the engine reads it, also with spaces", () => {
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1, "\t"), (value, space) => {
        const text = JSON.stringify(value, undefined, space)
        const read = allAtOnce(parsed(Buffer.from(text)))
        assert.strictEqual(JSON.stringify(read), JSON.stringify(JSON.parse(text)))
      }),
      RUNS
    )
  })

  it("is written as the engine writes it", () => {
    fc.assert(
      fc.property(value, (value) => {
        assert.strictEqual(allAtOnce(stringified(value)), JSON.stringify(value))
      }),
      RUNS
    )
  })

  it("is refused if the engine refuses it", () => {
    const isJson = (read: () => unknown): boolean => {
      try {
        read()
        return true
      } catch (error) {
        assert.instanceOf(error, SyntaxError)
        return false
      }
    }
    fc.assert(
      fc.property(
        value,
        fc.nat(),
        fc.constantFrom("", ",", "]", "}", "[", "{", ":", '"', "1", "\\"),
        (value, at, put) => {
          const text = JSON.stringify(value)
          const cut = at % text.length
          const damaged = text.slice(0, cut) + put + text.slice(cut + (at % 2))
          assert.strictEqual(
            isJson(() => allAtOnce(parsed(Buffer.from(damaged)))),
            isJson(() => JSON.parse(damaged))
          )
        }
      ),
      { numRuns: 300 }
    )
  })

  it("is read and written in many steps", () => {
    for (const value of [listOf(["x".repeat(1000)]), objectOf(["x".repeat(1000)])]) {
      const text = Buffer.from(JSON.stringify(value))
      assert.isAtLeast([...parsed(text)].length, 6)
    }
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i]))
    assert.isAtLeast([...stringified(many)].length, 40)
  })
})
