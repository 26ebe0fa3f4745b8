/** Any patch on any entity has the effect that it has on a client, and no hostile patch has a side effect. */
import { assert, describe, it } from "@effect/vitest"
import * as Verdant from "@verdant-web/common"
import fc from "fast-check"
import { vi } from "vitest"
import { isBoundedJson } from "../../../../src/domain/verdant/model/BoundedJson.ts"
import {
  applyInPlace,
  applyPatch,
  copyOf,
  isPatch,
  isRef,
  type Patch
} from "../../../../src/domain/verdant/model/Patch.ts"

// The client library logs an error for every list patch on an entity that is not a list.
vi.spyOn(console, "error").mockImplementation(() => {})

describe("Patch, on any entity", () => {
  it("has the effect that it has on a client", () => {
    const tally = new Map<string, number>()
    fc.assert(
      fc.property(entity, fc.array(patch, { minLength: 1, maxLength: 30, size: "max" }), (entity, patches) => {
        let ours: unknown = entity
        let theirs: unknown = entity
        for (const patch of patches) {
          ours = applyPatch(ours, patch)
          const before = JSON.stringify(theirs)
          theirs = applyAsClient(theirs, patch)
          assert.strictEqual(JSON.stringify(ours), JSON.stringify(theirs), JSON.stringify(patch))
          if (before !== JSON.stringify(theirs)) tally.set(patch.op, (tally.get(patch.op) ?? 0) + 1)
        }
      }),
      { numRuns: 3000 }
    )
    // Every kind of patch must have had an effect often enough, or the comparison proves little.
    for (const op of ops.filter((op) => op !== "touch")) assert.isAbove(tally.get(op) ?? 0, 100, op)
  })

  it("has the effect that it has on a client that holds the gaps of moves as undefined", () => {
    let removals = 0
    fc.assert(
      fc.property(listWithoutNulls, fc.array(patchOfGaps, { maxLength: 30, size: "max" }), (list, patches) => {
        let ours: unknown = list
        let theirs: unknown = structuredClone(list)
        for (const patch of patches) {
          ours = applyPatch(ours, patch)
          const before = JSON.stringify(theirs)
          theirs = applyAs322(theirs, patch)
          assert.strictEqual(JSON.stringify(ours), JSON.stringify(theirs), JSON.stringify(patch))
          const removesGaps = patch.op === "list-remove" && patch.value === undefined
          if (removesGaps && before !== JSON.stringify(theirs)) removals++
        }
      }),
      { numRuns: 3000 }
    )
    assert.isAbove(removals, 100)
  })

  it("leaves the given entity unchanged, and gives the same result in place", () => {
    fc.assert(
      fc.property(entity, fc.array(patch, { maxLength: 30, size: "max" }), (entity, patches) => {
        for (const { value, values } of patches as ReadonlyArray<{ value?: unknown; values?: unknown }>) {
          deepFreeze(value)
          deepFreeze(values)
        }
        let copied: unknown = deepFreeze(entity)
        let inPlace = copyOf(entity)
        for (const patch of patches) {
          copied = deepFreeze(applyPatch(copied, patch))
          inPlace = applyInPlace(inPlace, patch)
        }
        assert.deepStrictEqual(inPlace, copied)
      }),
      { numRuns: 1000 }
    )
  })

  it("never throws and changes no prototype, whatever a client sends", () => {
    const inherited = Object.getOwnPropertyNames(Object.prototype)
    let accepted = 0
    fc.assert(
      fc.property(fc.oneof(anyJson, fc.constant(undefined)), anyPatch, (entity, patch) => {
        if (!isPatch(patch)) return
        accepted++
        JSON.stringify(applyPatch(entity, patch))
        assert.deepStrictEqual(Object.getOwnPropertyNames(Object.prototype), inherited)
        assert.strictEqual(Object.getPrototypeOf([]), Array.prototype)
      }),
      { numRuns: 5000 }
    )
    assert.isAbove(accepted, 1000)
  })
})

// -------------------------------------------------------------------------------------------------- what clients do

/** Applies a patch as a client does, through JSON, as entities are stored and sent. A patch that throws has no effect. */
const applyAsClient = (entity: unknown, patch: Patch): unknown => {
  const copy = throughJson(entity)
  try {
    return throughJson(applyAs322(copy, throughJson(patch) as Patch))
  } catch {
    return throughJson(entity)
  }
}

const throughJson = (value: unknown): unknown =>
  value === undefined ? undefined : JSON.parse(JSON.stringify(value) ?? "null")

/** The installed `applyPatch` is of 2.3.1; this adds the two differences of 3.2.2. */
const applyAs322 = (entity: unknown, patch: Patch): unknown => {
  if (patch.op === "list-set") {
    if (Array.isArray(entity)) entity[patch.index as number] = patch.value
    return entity
  }
  if (patch.op === "list-remove" && isRef(patch.value) && Array.isArray(entity)) {
    const text = JSON.stringify(patch.value)
    const isSame = (item: unknown) => JSON.stringify(item) === text
    if (patch.only === "first") return entity.filter((item, i) => !isSame(item) || i !== entity.findIndex(isSame))
    if (patch.only === "last") return entity.filter((item, i) => !isSame(item) || i !== entity.findLastIndex(isSame))
    return entity.filter((item) => !isSame(item))
  }
  return Verdant.applyPatch(entity as Verdant.NormalizedObject, patch as Verdant.OperationPatch)
}

const deepFreeze = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(deepFreeze)
  }
  return value
}

// ----------------------------------------------------------------------------------------------- entities, patches

const ref = fc.constantFrom("items/1:a", "items/1:b").map((id) => ({ "@@type": "ref" as const, id }))
const file = fc.constantFrom("file1", "file2").map((id) => ({ "@@type": "file" as const, id }))
const primitive = fc.constantFrom<Array<unknown>>("", "a", "b", 0, 1, 1.5, -0, true, false, null)
const nested = fc.jsonValue({ maxDepth: 3 }).filter((value) => isBoundedJson(value) && !isRef(value))
const value = fc.oneof(
  { weight: 4, arbitrary: primitive },
  { weight: 3, arbitrary: ref },
  { weight: 2, arbitrary: file },
  { weight: 1, arbitrary: nested },
  { weight: 1, arbitrary: fc.constant(undefined) }
)
const present = value.filter((value) => value !== undefined)
const withoutNull = value.filter((value) => value !== null)
const only = fc.constantFrom<"first" | "last" | null>(null, "first", "last")
const name = fc.oneof(
  fc.constantFrom("a", "b", "c", "0", "2", "01", "constructor", "toString", "__proto__", "hasOwnProperty", "push"),
  fc.integer({ min: -2, max: 8 })
)
const index = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -3, max: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom(null, undefined, 0.5, 1e9, -1e9) }
)
/** Below the bound on holes, beyond which the server differs from clients on purpose. */
const nearIndex = index.filter((index) => index !== 1e9)

const list = fc.array(value, { maxLength: 8 }).map((items) => throughJson(items))
const object = fc.dictionary(fc.constantFrom("a", "b", "c", "0"), value, { noNullPrototype: true }).map(throughJson)
const entity = fc.oneof(
  { weight: 6, arbitrary: list },
  { weight: 3, arbitrary: object },
  { weight: 1, arbitrary: fc.oneof(primitive, nested, fc.constant(undefined)) }
)

const patch: fc.Arbitrary<Patch> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant("initialize" as const), value: entity }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("set" as const), name, value }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("remove" as const), name }) },
  { weight: 1, arbitrary: fc.constantFrom<Array<Patch>>({ op: "delete" }, { op: "touch" }) },
  {
    weight: 20,
    arbitrary: fc.oneof(
      fc.record({ op: fc.constant("list-set" as const), index: nearIndex, value }),
      fc.record({ op: fc.constant("list-push" as const), value }),
      fc.record({ op: fc.constant("list-insert" as const), index, value }),
      fc.record({ op: fc.constant("list-insert" as const), index, values: list as fc.Arbitrary<Array<unknown>> }),
      fc.record({ op: fc.constant("list-delete" as const), index, count: index }),
      fc.record({ op: fc.constant("list-move-by-index" as const), from: index, to: index }),
      fc.record({ op: fc.constant("list-move-by-ref" as const), value, index }),
      fc.record({ op: fc.constant("list-remove" as const), value: present, only }),
      fc.record({ op: fc.constant("list-add" as const), value: present })
    )
  }
)

/** A client tells a gap from a null, and JSON does not. */
const listWithoutNulls = fc.array(
  present.filter((value) => value !== null),
  { maxLength: 8 }
)
/** Patches that leave gaps, move them and remove them. */
const patchOfGaps: fc.Arbitrary<Patch> = fc.oneof(
  fc.record({ op: fc.constant("list-move-by-index" as const), from: index, to: index }),
  fc.record({ op: fc.constant("list-delete" as const), index, count: index }),
  fc.record({ op: fc.constant("list-push" as const), value: withoutNull }),
  fc.record({ op: fc.constant("list-remove" as const), value: withoutNull, only }),
  fc.record({ op: fc.constant("list-add" as const), value: withoutNull })
)

const ops = [
  "initialize",
  "set",
  "remove",
  "delete",
  "touch",
  "list-set",
  "list-push",
  "list-insert",
  "list-delete",
  "list-move-by-index",
  "list-move-by-ref",
  "list-remove",
  "list-add"
] as const satisfies ReadonlyArray<Patch["op"]>

/** Includes values with a field `__proto__`, which only `JSON.parse` makes. */
const anyJson = fc.oneof(
  fc.json({ maxDepth: 4 }).map((text): unknown => JSON.parse(text)),
  list,
  object,
  fc.constantFrom(`{"__proto__":{"polluted":1}}`, `[{"__proto__":[]}]`).map((text): unknown => JSON.parse(text))
)
const anyField = fc.oneof(
  anyJson,
  fc.constantFrom("__proto__", "constructor", "prototype", "length", "splice", "4294967294", "-1", "1e3"),
  fc.double({ noNaN: true }),
  index
)
const anyPatch = fc
  .record(
    {
      op: fc.constantFrom(...ops, "__proto__"),
      name: anyField,
      value: fc.oneof(anyJson, value),
      values: fc.oneof(anyField, list),
      index: anyField,
      count: anyField,
      from: anyField,
      to: anyField,
      only: fc.constantFrom("first", "last", "all", null, undefined)
    },
    { requiredKeys: ["op"] }
  )
  .map(throughJson)
