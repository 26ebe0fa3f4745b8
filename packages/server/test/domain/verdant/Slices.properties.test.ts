/** A compaction in slices makes the same of a library as one in one go, and each slice is a valid compaction. */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import fc from "fast-check"
import { decideAgain, isSameCompaction } from "../../../src/admin/verify/VerdantDecision.ts"
import { advance, emptyHead, place } from "../../../src/domain/Stream.ts"
import { type CompactionOptions, compactionProblem, everything, slice } from "../../../src/domain/verdant/Compaction.ts"
import { decideCompaction } from "../../../src/domain/verdant/Decide.ts"
import { fromStreamEvent } from "../../../src/domain/verdant/Events.ts"
import { evolve } from "../../../src/domain/verdant/Evolve.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import type { Patch } from "../../../src/domain/verdant/model/Patch.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import { given, KEY, NOW, stamp, sync, write } from "./decisions.ts"

/** Takes so much more memory than its text that an operation holds only the text. */
const smallPieces = Array.from({ length: 60 }, () => ({}))
const value = fc.constantFrom<Array<unknown>>(0, 1, "a", null, { "@@type": "ref", id: "items/1:a" }, smallPieces)
const index = fc.integer({ min: -3, max: 8 })
const patch: fc.Arbitrary<Patch> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.constantFrom<Array<Patch>>(
      { op: "delete" },
      { op: "initialize", value: [1, 2] },
      { op: "initialize", value: smallPieces }
    )
  },
  {
    weight: 8,
    arbitrary: fc.oneof(
      fc.record({ op: fc.constant("list-set" as const), index, value }),
      fc.record({ op: fc.constant("list-push" as const), value }),
      fc.record({ op: fc.constant("list-insert" as const), index, values: fc.array(value, { maxLength: 3 }) }),
      fc.record({ op: fc.constant("list-delete" as const), index, count: index }),
      fc.record({ op: fc.constant("list-move-by-ref" as const), value, index }),
      fc.record({ op: fc.constant("list-remove" as const), value }),
      fc.record({ op: fc.constant("list-add" as const), value })
    )
  }
)

/** A library with these operations on three lists, of which the older half may be merged. */
const libraryOf = (patches: ReadonlyArray<readonly [number, Patch]>) => {
  const operations = patches.map(([list, data], i) => ({
    ...Result.getOrThrow(decodeOperation({ oid: `notes/${list}`, timestamp: stamp(i), data })),
    owner: null
  }))
  const library = given(sync("writer", 0), write("writer", ...operations))
  return { ...library.state(), watermark: stamp(patches.length / 2) }
}

const isTruant = () => false

/** Compacts until nothing is left. `isRead`: each compaction is read from the log, as after a restart. */
const compactAll = (
  start: LibraryState,
  portionOf: (state: LibraryState) => CompactionOptions["portion"],
  isRead = false
) => {
  let state = start
  let head = { ...emptyHead, version: state.version }
  let slices = 0
  while (true) {
    const decision = decideCompaction(state, { isTruant, portion: portionOf(state) })
    if (Result.isFailure(decision)) return { state, slices }
    const { event, payload } = decision.success
    const placed = place(KEY, head, event, "test", NOW)
    head = advance(head, placed)
    const next = evolve(state, placed, isRead ? Buffer.from(payload!) : payload)
    assert.isUndefined(compactionProblem(state, next))
    const again = Result.getOrThrow(decideAgain(state, placed, fromStreamEvent(placed) as never, payload, next))
    assert.isTrue(isSameCompaction(again.payload, payload))
    state = next
    slices++
  }
}

const contentOf = ({ entities, foldedUpTo, watermark }: LibraryState) => ({
  ...{ foldedUpTo, watermark },
  entities: HashMap.toEntries(entities)
    .map(([oid, { baseline, operations }]) => [oid, baseline?.text, operations.map(({ text }) => text)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
})

describe("a compaction in slices", () => {
  it("ends with what one compaction makes, and passes verification", () => {
    const patches = fc.array(fc.tuple(fc.nat(2), patch), { minLength: 2, maxLength: 60 })
    fc.assert(
      fc.property(patches, fc.nat(5), (patches, most) => {
        const state = libraryOf(patches)
        const inOne = compactAll(state, () => everything)
        const oneByOne = compactAll(state, () => {
          let left = most + 1
          return (_, { length }) => {
            const count = Math.min(left, length)
            left -= count
            return count
          }
        })
        assert.isAtMost(inOne.slices, 1)
        assert.deepStrictEqual(contentOf(oneByOne.state), contentOf(inOne.state))
        assert.deepStrictEqual(contentOf(compactAll(state, slice).state), contentOf(inOne.state))
        assert.deepStrictEqual(contentOf(compactAll(state, slice, true).state), contentOf(inOne.state))
      }),
      { numRuns: 500 }
    )
  })

  it("takes as many slices as the operations are work, and each merges something", () => {
    const items = Array.from({ length: 100_000 }, (_, i) => i % 10)
    const patches = Array.from({ length: 400 }, (_, i): readonly [number, Patch] => [
      0,
      i === 0 ? { op: "initialize", value: items } : { op: "list-move-by-ref", value: "none", index: 0 }
    ])
    const state = { ...libraryOf(patches), watermark: stamp(1000) }
    const { slices, state: after } = compactAll(state, slice)
    assert.strictEqual(after.operations, 0)
    // 400 operations on 100,000 items each, some 4 of them in a slice: as much work as reading the list.
    assert.isAtLeast(slices, 50)
    assert.isAtMost(slices, 200)
  })
})
