/** Baselines: the compaction of operations into them, and their decoding. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import { onlyUser } from "../../../../src/domain/verdant/model/Authz.ts"
import { type Baseline, baselineBy, compact, decodeBaseline } from "../../../../src/domain/verdant/model/Baseline.ts"
import { decodeOperation, type Operation } from "../../../../src/domain/verdant/model/Operation.ts"
import { applyPatch, type Patch } from "../../../../src/domain/verdant/model/Patch.ts"

const oid = "items/1"
const anna = onlyUser("anna")
const bert = onlyUser("bert")

const at = (tick: number) => `0001loyw3v28a${tick.toString(36).padStart(4, "0")}0000abc`
const operation = (tick: number, data: Patch, authz?: string): Operation =>
  Result.getOrThrow(decodeOperation({ oid, timestamp: at(tick), data, authz }))
const baseline = (tick: number, snapshot: unknown, authz?: string): Baseline =>
  Result.getOrThrow(decodeBaseline({ oid, timestamp: at(tick), snapshot, authz }))

const initialize = (tick: number, value: unknown, authz?: string) => operation(tick, { op: "initialize", value }, authz)
const set = (tick: number, name: string, value: unknown) => operation(tick, { op: "set", name, value })
const remove = (tick: number) => operation(tick, { op: "delete" })

describe("Baseline", () => {
  it("is the state after the operations, with the timestamp of the last one", () => {
    assert.deepStrictEqual(compact(undefined, [initialize(1, { a: 1 }), set(2, "b", 2)]), baseline(2, { a: 1, b: 2 }))
    assert.deepStrictEqual(compact(baseline(1, { a: 1 }), [set(2, "a", 2)]), baseline(2, { a: 2 }))
    assert.deepStrictEqual(compact(baseline(1, [1]), [operation(2, { op: "touch" })]), baseline(2, [1]))
  })

  it("stays unchanged when later operations are compacted into another one", () => {
    const before = baseline(1, { list: [1] })
    compact(before, [set(2, "a", 2), operation(3, { op: "remove", name: "list" })])
    assert.deepStrictEqual(before, baseline(1, { list: [1] }))
    const first = initialize(1, [1])
    compact(undefined, [first, operation(2, { op: "list-push", value: 2 })])
    assert.deepStrictEqual(first, initialize(1, [1]))
  })

  it("is undefined for an entity that was deleted or never created", () => {
    assert.isUndefined(compact(baseline(1, { a: 1 }), [remove(2)]))
    assert.isUndefined(compact(baseline(1, { a: 1 }), [remove(2), set(3, "a", 1)]))
    assert.isUndefined(compact(undefined, [set(1, "a", 1), operation(2, { op: "list-push", value: 1 })]))
    assert.isUndefined(compact(baseline(1, null), [set(2, "a", 1)]))
    assert.isUndefined(compact(undefined, []))
    assert.deepStrictEqual(compact(baseline(1, { a: 1 }), [remove(2), initialize(3, { b: 1 })]), baseline(3, { b: 1 }))
  })

  it("skips operations that are not newer than it", () => {
    const before = baseline(5, { a: 1 })
    assert.strictEqual(compact(before, [set(4, "a", 4), set(5, "a", 5)]), before)
    assert.strictEqual(compact(before, []), before)
    assert.deepStrictEqual(compact(before, [set(4, "a", 4), set(6, "b", 6)]), baseline(6, { a: 1, b: 6 }))
  })

  it("takes the access field of the last initialize", () => {
    assert.strictEqual(compact(undefined, [initialize(1, {}, anna), set(2, "a", 1)])?.authz, anna)
    assert.strictEqual(compact(baseline(1, {}, anna), [set(2, "a", 1)])?.authz, anna)
    assert.strictEqual(compact(baseline(1, {}, anna), [initialize(2, {}, bert)])?.authz, bert)
    assert.strictEqual(compact(baseline(1, {}), [initialize(2, {}, bert)])?.authz, bert)
    assert.isUndefined(compact(baseline(1, {}, anna), [remove(2), initialize(3, {})])?.authz)
    assert.isUndefined(compact(baseline(1, {}, anna), [initialize(2, {})])?.authz)
  })

  it("does not depend on the number of compactions, nor on being written and read in between", () => {
    fc.assert(
      fc.property(fc.array(anyPatch, { maxLength: 20 }), fc.array(fc.nat(20)), (patches, cuts) => {
        const operations = patches.map(([patch, authz], i) => operation(i + 1, patch, authz))
        const atOnce = compact(undefined, operations)
        let inSteps: Baseline | undefined
        let start = 0
        for (const end of [...cuts.toSorted((a, b) => a - b), operations.length]) {
          // Some operations are compacted a second time, which must not change anything.
          const again = inSteps === undefined ? start : Math.max(start - 2, 0)
          inSteps = compact(reread(inSteps), operations.slice(again, end))
          start = end
        }
        assert.deepStrictEqual(inSteps, atOnce)
        const applied = patches.reduce<unknown>((entity, [patch]) => applyPatch(entity, patch), undefined)
        assert.deepStrictEqual(atOnce?.snapshot, applied ?? undefined)
      }),
      { numRuns: 1000 }
    )
  })

  it("takes the user in place of the placeholder, and keeps any other user", () => {
    const original = baseline(1, { a: 1 }, onlyUser("$$_originator_$$"))
    assert.deepStrictEqual(baselineBy("anna", original), baseline(1, { a: 1 }, anna))
    const others = baseline(1, { a: 1 }, bert)
    assert.strictEqual(baselineBy("anna", others), others)
  })

  it("keeps the client's JSON, and names the field that makes an input malformed", () => {
    const valid = {
      oid,
      timestamp: at(1),
      authz: anna,
      snapshot: { b: [1, { "@@type": "ref", id: "items/1:a" }], a: "" }
    }
    assert.deepStrictEqual(JSON.parse(Result.getOrThrow(decodeBaseline(valid)).text), valid)
    const wrongFieldOf = (input: unknown): string => {
      const result = decodeBaseline(input)
      return Result.isFailure(result) ? result.failure.field : "none"
    }
    assert.strictEqual(wrongFieldOf(null), "item")
    assert.strictEqual(wrongFieldOf({ ...valid, oid: 1 }), "oid")
    assert.strictEqual(wrongFieldOf({ ...valid, timestamp: "1" }), "timestamp")
    assert.strictEqual(wrongFieldOf({ ...valid, authz: "*" }), "authz")
    assert.strictEqual(wrongFieldOf({ ...valid, snapshot: JSON.parse(`{"a":{"__proto__":{}}}`) }), "snapshot")
    assert.strictEqual(wrongFieldOf({ ...valid, snapshot: JSON.parse("[".repeat(33) + "]".repeat(33)) }), "snapshot")
    assert.strictEqual(wrongFieldOf({ ...valid, snapshot: "x".repeat(9_000_000) }), "snapshot")
    assert.strictEqual(wrongFieldOf({ oid, timestamp: at(1) }), "none")
  })
})

const reread = (baseline: Baseline | undefined): Baseline | undefined =>
  baseline === undefined ? undefined : Result.getOrThrow(decodeBaseline(JSON.parse(baseline.text)))

const value = fc.constantFrom<Array<unknown>>(0, 1, "a", null, { "@@type": "ref", id: "items/1:a" })
const anyPatch: fc.Arbitrary<[Patch, string | undefined]> = fc.tuple(
  fc.oneof(
    fc.constantFrom<Array<Patch>>(
      { op: "initialize", value: {} },
      { op: "initialize", value: [] },
      { op: "initialize", value: null },
      { op: "delete" },
      { op: "touch" }
    ),
    fc.record({ op: fc.constant("set" as const), name: fc.constantFrom("a", "3"), value }),
    fc.record({ op: fc.constant("list-push" as const), value }),
    fc.record({ op: fc.constant("list-move-by-index" as const), from: fc.nat(5), to: fc.nat(5) })
  ),
  fc.constantFrom(undefined, anna, bert)
)
