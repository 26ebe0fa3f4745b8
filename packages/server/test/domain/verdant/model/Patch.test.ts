/** The effect of each patch, odd cases included, as clients apply it (`@verdant-web/common` 3.2.2). */
import { assert, describe, it } from "@effect/vitest"
import { applyPatch, isPatch, type Patch } from "../../../../src/domain/verdant/model/Patch.ts"

const ref = (id: string) => ({ "@@type": "ref", id })
const file = (id: string, alt?: string) => ({ "@@type": "file", id, ...(alt === undefined ? {} : { alt }) })
const json = (text: string): unknown => JSON.parse(text)

type Case = readonly [name: string, before: unknown, patch: Patch, after: unknown]

const cases: ReadonlyArray<Case> = [
  ["initialize creates an entity", undefined, { op: "initialize", value: { a: 1 } }, { a: 1 }],
  ["initialize replaces an entity", { b: 2 }, { op: "initialize", value: [1] }, [1]],
  ["initialize without a value deletes", { b: 2 }, { op: "initialize" }, undefined],

  ["set adds a field", { a: 1 }, { op: "set", name: "b", value: 2 }, { a: 1, b: 2 }],
  ["set replaces a field", { a: 1, b: 2 }, { op: "set", name: "a", value: null }, { a: null, b: 2 }],
  ["set accepts a number as a name", {}, { op: "set", name: 7, value: 1 }, { 7: 1 }],
  ["set without a value removes the field", { a: 1 }, { op: "set", name: "a" }, {}],
  [
    "set of a name that objects inherit sets a field",
    {},
    { op: "set", name: "constructor", value: 1 },
    json(`{"constructor":1}`)
  ],
  ["set of __proto__ sets nothing", { a: 1 }, { op: "set", name: "__proto__", value: ref("x") }, { a: 1 }],
  ["set replaces a list's item", [1, 2], { op: "set", name: 1, value: 3 }, [1, 3]],
  ["set replaces a list's item by an index as text", [1, 2], { op: "set", name: "0", value: 3 }, [3, 2]],
  ["set past a list's end leaves nulls in between", [1], { op: "set", name: 3, value: 2 }, [1, null, null, 2]],
  ["set far past a list's end has no effect", [1], { op: "set", name: 4294967294, value: 2 }, [1]],
  ["set of a list's length has no effect", [1], { op: "set", name: "length", value: 0 }, [1]],
  ["set of an index with a leading zero has no effect", [1, 2], { op: "set", name: "01", value: 0 }, [1, 2]],
  ["set on no entity has no effect", undefined, { op: "set", name: "a", value: 1 }, undefined],
  ["set on null has no effect", null, { op: "set", name: "a", value: 1 }, null],
  ["set on text has no effect", "text", { op: "set", name: "a", value: 1 }, "text"],

  ["remove removes a field", { a: 1, b: 2 }, { op: "remove", name: "a" }, { b: 2 }],
  ["remove of an inherited name has no effect", { a: 1 }, { op: "remove", name: "toString" }, { a: 1 }],
  ["remove of a list's item leaves null", [1, 2], { op: "remove", name: 0 }, [null, 2]],
  ["remove of a list's length has no effect", [1, 2], { op: "remove", name: "length" }, [1, 2]],
  ["remove past a list's end has no effect", [1, 2], { op: "remove", name: 5 }, [1, 2]],

  ["delete removes the entity", { a: 1 }, { op: "delete" }, undefined],
  ["delete of no entity has no effect", undefined, { op: "delete" }, undefined],
  ["touch has no effect", { a: 1 }, { op: "touch" }, { a: 1 }],
  ["touch of no entity has no effect", undefined, { op: "touch" }, undefined],

  ["list-set replaces an item", [1, 2], { op: "list-set", index: 1, value: 3 }, [1, 3]],
  ["list-set past the end leaves nulls in between", [1], { op: "list-set", index: 2, value: 3 }, [1, null, 3]],
  ["list-set before the start has no effect", [1], { op: "list-set", index: -1, value: 3 }, [1]],
  ["list-set at a fraction has no effect", [1, 2], { op: "list-set", index: 0.5, value: 3 }, [1, 2]],
  ["list-set without an index has no effect", [1, 2], { op: "list-set", value: 3 }, [1, 2]],
  ["list-set without a value sets null", [1, 2], { op: "list-set", index: 0 }, [null, 2]],
  ["list-set on an object has no effect", { a: 1 }, { op: "list-set", index: 0, value: 3 }, { a: 1 }],

  ["list-push appends an item", [1], { op: "list-push", value: 2 }, [1, 2]],
  ["list-push of a list appends one item", [1], { op: "list-push", value: [2, 3] }, [1, [2, 3]]],
  ["list-push without a value appends null", [1], { op: "list-push" }, [1, null]],
  ["list-push on an object has no effect", { a: 1 }, { op: "list-push", value: 2 }, { a: 1 }],
  ["list-push on no entity has no effect", undefined, { op: "list-push", value: 2 }, undefined],

  ["list-insert inserts an item", [1, 2], { op: "list-insert", index: 1, value: 3 }, [1, 3, 2]],
  ["list-insert inserts many items", [1, 2], { op: "list-insert", index: 1, values: [3, 4] }, [1, 3, 4, 2]],
  [
    "list-insert of lists inserts each as one item",
    [1],
    { op: "list-insert", index: 0, values: [[2], [3]] },
    [[2], [3], 1]
  ],
  ["list-insert of one list inserts one item", [1], { op: "list-insert", index: 0, value: [2] }, [[2], 1]],
  ["list-insert of no items has no effect", [1], { op: "list-insert", index: 0, values: [] }, [1]],
  ["list-insert prefers value to values", [1], { op: "list-insert", index: 0, value: 2, values: [3, 4] }, [2, 1]],
  ["list-insert of the value 0 has no effect: clients throw", [1], { op: "list-insert", index: 0, value: 0 }, [1]],
  ["list-insert inserts a 0 among values", [1], { op: "list-insert", index: 0, values: [0] }, [0, 1]],
  [
    "list-insert counts a negative index from the end",
    [1, 2],
    { op: "list-insert", index: -1, values: [3, 4] },
    [1, 3, 4, 2]
  ],
  ["list-insert past the end appends", [1], { op: "list-insert", index: 9, value: 2 }, [1, 2]],
  ["list-insert without an index inserts at the start", [1], { op: "list-insert", index: null, value: 2 }, [2, 1]],

  ["list-delete removes items", [1, 2, 3, 4], { op: "list-delete", index: 1, count: 2 }, [1, 4]],
  ["list-delete of too many removes the rest", [1, 2], { op: "list-delete", index: 1, count: 9 }, [1]],
  ["list-delete without a count has no effect", [1, 2], { op: "list-delete", index: 0 }, [1, 2]],
  ["list-delete counts a negative index from the end", [1, 2, 3], { op: "list-delete", index: -1, count: 1 }, [1, 2]],

  ["list-move-by-index moves an item", [1, 2, 3], { op: "list-move-by-index", from: 0, to: 2 }, [2, 3, 1]],
  ["list-move-by-index from past the end inserts null", [1], { op: "list-move-by-index", from: 5, to: 0 }, [null, 1]],

  [
    "list-move-by-ref moves a reference",
    [ref("a"), ref("b")],
    { op: "list-move-by-ref", value: ref("b"), index: 0 },
    [ref("b"), ref("a")]
  ],
  [
    "list-move-by-ref moves a file",
    [1, file("a")],
    { op: "list-move-by-ref", value: file("a"), index: 0 },
    [file("a"), 1]
  ],
  [
    "list-move-by-ref of an absent item moves the last item",
    [1, 2, 3],
    { op: "list-move-by-ref", value: ref("x"), index: 0 },
    [3, 1, 2]
  ],
  ["list-move-by-ref on an empty list inserts null", [], { op: "list-move-by-ref", value: ref("x"), index: 0 }, [null]],

  ["list-remove removes every equal item", [1, 2, 1], { op: "list-remove", value: 1 }, [2]],
  ["list-remove removes only the first", [1, 2, 1], { op: "list-remove", value: 1, only: "first" }, [2, 1]],
  ["list-remove removes only the last", [1, 2, 1], { op: "list-remove", value: 1, only: "last" }, [1, 2]],
  ["list-remove of an absent item has no effect", [1, 2], { op: "list-remove", value: 3, only: "last" }, [1, 2]],
  [
    "list-remove removes every equal reference",
    [ref("a"), null, ref("a")],
    { op: "list-remove", value: ref("a") },
    [null]
  ],
  ["list-remove removes a file whatever its alt", [file("a", "x")], { op: "list-remove", value: file("a", "y") }, []],
  [
    "list-remove of a file keeps a reference with the same id",
    [ref("a")],
    { op: "list-remove", value: file("a") },
    [ref("a")]
  ],
  ["list-remove of an equal object has no effect", [{ a: 1 }], { op: "list-remove", value: { a: 1 } }, [{ a: 1 }]],
  ["list-remove without a value removes nulls", [1, null, 2, null], { op: "list-remove" }, [1, 2]],

  ["list-add appends an item", [1], { op: "list-add", value: 2 }, [1, 2]],
  ["list-add of an item that is there has no effect", [1, 2], { op: "list-add", value: 2 }, [1, 2]],
  ["list-add of a reference that is there has no effect", [ref("a")], { op: "list-add", value: ref("a") }, [ref("a")]],
  [
    "list-add of a file that is there appends it again",
    [file("a")],
    { op: "list-add", value: file("a") },
    [file("a"), file("a")]
  ],
  ["list-add without a value appends null", [1], { op: "list-add" }, [1, null]],
  ["list-add without a value has no effect if there is a null", [null], { op: "list-add" }, [null]]
]

describe("Patch", () => {
  it.for(cases)("%s", ([, before, patch, after]) => {
    assert.isTrue(isPatch(patch))
    assert.strictEqual(JSON.stringify(applyPatch(before, patch)), JSON.stringify(after))
  })

  it("inserts a million items, and removes them again", () => {
    const values = new Array<number>(1_000_000).fill(1)
    const list = applyPatch([0], { op: "list-insert", index: 0, values }) as ReadonlyArray<number>
    assert.strictEqual(list.length, 1_000_001)
    assert.deepStrictEqual(applyPatch(list, { op: "list-remove", value: 1 }), [0])
  })

  it.for([
    null,
    "set",
    [],
    {},
    { op: "constructor" },
    { op: "__proto__" },
    { op: ["set"], name: "a" },
    { op: "drop" },
    { op: "set", value: 1 },
    { op: "set", name: null },
    { op: "set", name: { toString: "a" } },
    { op: "remove" },
    { op: "list-set", index: "0" },
    { op: "list-insert", index: 0, values: "abc" },
    { op: "list-insert", index: 0, values: { length: 1e9 } },
    { op: "list-insert", index: {}, value: 1 },
    { op: "list-delete", index: 0, count: "1" },
    { op: "list-move-by-index", from: [], to: 0 },
    { op: "list-move-by-ref", value: 1, index: true },
    { op: "list-remove", value: 1, only: "all" },
    json(`{"__proto__":{"op":"touch"}}`)
  ])("rejects %j", (value) => {
    assert.isFalse(isPatch(value))
  })

  it("rejects a name of more than 4096 characters", () => {
    assert.isFalse(isPatch({ op: "set", name: "a".repeat(4097) }))
  })
})
