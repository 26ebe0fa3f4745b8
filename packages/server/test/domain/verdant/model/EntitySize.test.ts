/** The estimate of an entity's size is never below its size, whatever its operations do. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import { compact, decodeBaseline } from "../../../../src/domain/verdant/model/Baseline.ts"
import { type EntitySize, grown, listSizeOf, sizeOfBaseline } from "../../../../src/domain/verdant/model/EntitySize.ts"
import { decodeOperation } from "../../../../src/domain/verdant/model/Operation.ts"
import type { Patch } from "../../../../src/domain/verdant/model/Patch.ts"

const oid = "notes/a"
const at = (n: number): string => `0001${n.toString(36).padStart(9, "0")}0000node000`
const operation = (n: number, data: Patch) => Result.getOrThrow(decodeOperation({ oid, timestamp: at(n), data }))

const value = fc.constantFrom<Array<unknown>>(0, "long text", null, { "@@type": "ref", id: "items/1:a" }, undefined)
const index = fc.constantFrom(-1, 0, 1, 5, 30, 9000, 10_000, 15_000, 1e9)
const list = fc.array(
  value.filter((value) => value !== undefined),
  { maxLength: 5 }
)
const patch: fc.Arbitrary<Patch> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("initialize" as const), value: fc.oneof(list, fc.constant({})) })
  },
  {
    weight: 20,
    arbitrary: fc.oneof(
      fc.record({ op: fc.constant("list-set" as const), index, value }),
      fc.record({ op: fc.constant("set" as const), name: fc.oneof(fc.constantFrom("a", "7"), index), value }),
      fc.record({ op: fc.constant("remove" as const), name: index }),
      fc.record({ op: fc.constant("list-push" as const), value }),
      fc.record({ op: fc.constant("list-insert" as const), index, values: list }),
      fc.record({ op: fc.constant("list-delete" as const), index, count: index }),
      fc.record({ op: fc.constant("list-move-by-index" as const), from: index, to: index }),
      fc.record({ op: fc.constant("list-move-by-ref" as const), value, index }),
      fc.record({ op: fc.constant("list-remove" as const), value }),
      fc.record({ op: fc.constant("list-add" as const), value })
    )
  }
)

const assertCovers = (size: EntitySize, text: string, snapshot: unknown): void => {
  assert.isAtLeast(size.length, text.length)
  const list = listSizeOf(snapshot)
  assert.strictEqual(size.items === undefined, list === undefined)
  if (list !== undefined) assert.isAtLeast(size.items!, list.items)
}

describe("the estimated size of an entity", () => {
  it("is never below the length of its baseline, wherever it begins", () => {
    fc.assert(
      fc.property(fc.array(patch, { maxLength: 20 }), fc.nat(20), (patches, cut) => {
        const operations = [{ op: "initialize", value: [] } as Patch, ...patches].map((patch, i) => operation(i, patch))
        const first = compact(undefined, operations.slice(0, cut + 1))!
        const rest = operations.slice(cut + 1)
        const start = sizeOfBaseline(first.text.length, listSizeOf(first.snapshot))
        for (const [before, added] of [
          [undefined, operations],
          [Result.getOrThrow(decodeBaseline(JSON.parse(first.text))), rest]
        ] as const) {
          const after = compact(before, added)!
          const size = added.reduce(grown, before === undefined ? sizeOfBaseline(0, undefined) : start)
          assertCovers(size, after.text, after.snapshot)
        }
      }),
      { numRuns: 1000 }
    )
  })
})
