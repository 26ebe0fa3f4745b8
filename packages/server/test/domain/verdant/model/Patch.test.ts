/** Each patch, and what clients make of its odd cases (`@verdant-web/common` 3.2.2). */
import { assert, describe, it } from "@effect/vitest"
import { applyPatch, isPatch, type Patch } from "../../../../src/domain/verdant/model/Patch.ts"

const ref = (id: string) => ({ "@@type": "ref", id })
const file = (id: string, alt?: string) => ({ "@@type": "file", id, ...(alt === undefined ? {} : { alt }) })
const json = (text: string): unknown => JSON.parse(text)

type Case = readonly [says: string, before: unknown, patch: Patch, after: unknown]

const cases: ReadonlyArray<Case> = [
  ["initialize makes what was not there", undefined, { op: "initialize", value: { a: 1 } }, { a: 1 }],
  ["initialize replaces what was there", { b: 2 }, { op: "initialize", value: [1] }, [1]],
  ["initialize without a value deletes", { b: 2 }, { op: "initialize" }, undefined],

  ["set adds", { a: 1 }, { op: "set", name: "b", value: 2 }, { a: 1, b: 2 }],
  ["set replaces", { a: 1, b: 2 }, { op: "set", name: "a", value: null }, { a: null, b: 2 }],
  ["set takes a number for a name", {}, { op: "set", name: 7, value: 1 }, { 7: 1 }],
  ["set without a value leaves none", { a: 1 }, { op: "set", name: "a" }, {}],
  ["set of a name that objects inherit", {}, { op: "set", name: "constructor", value: 1 }, json(`{"constructor":1}`)],
  ["set of __proto__ sets nothing", { a: 1 }, { op: "set", name: "__proto__", value: ref("x") }, { a: 1 }],
  ["set of a list's item", [1, 2], { op: "set", name: 1, value: 3 }, [1, 3]],
  ["set of a list's item by text", [1, 2], { op: "set", name: "0", value: 3 }, [3, 2]],
  ["set past a list's end", [1], { op: "set", name: 3, value: 2 }, [1, null, null, 2]],
  ["set far past a list's end", [1], { op: "set", name: 4294967294, value: 2 }, [1]],
  ["set of what is no item of a list", [1], { op: "set", name: "length", value: 0 }, [1]],
  ["set of what only looks like an item", [1, 2], { op: "set", name: "01", value: 0 }, [1, 2]],
  ["set on nothing", undefined, { op: "set", name: "a", value: 1 }, undefined],
  ["set on null", null, { op: "set", name: "a", value: 1 }, null],
  ["set on text", "text", { op: "set", name: "a", value: 1 }, "text"],

  ["remove", { a: 1, b: 2 }, { op: "remove", name: "a" }, { b: 2 }],
  ["remove of what is not there", { a: 1 }, { op: "remove", name: "toString" }, { a: 1 }],
  ["remove of a list's item leaves null", [1, 2], { op: "remove", name: 0 }, [null, 2]],
  ["remove of a list's length", [1, 2], { op: "remove", name: "length" }, [1, 2]],
  ["remove past a list's end", [1, 2], { op: "remove", name: 5 }, [1, 2]],

  ["delete", { a: 1 }, { op: "delete" }, undefined],
  ["delete of nothing", undefined, { op: "delete" }, undefined],
  ["touch", { a: 1 }, { op: "touch" }, { a: 1 }],
  ["touch of nothing", undefined, { op: "touch" }, undefined],

  ["list-set", [1, 2], { op: "list-set", index: 1, value: 3 }, [1, 3]],
  ["list-set past the end", [1], { op: "list-set", index: 2, value: 3 }, [1, null, 3]],
  ["list-set before the start", [1], { op: "list-set", index: -1, value: 3 }, [1]],
  ["list-set between items", [1, 2], { op: "list-set", index: 0.5, value: 3 }, [1, 2]],
  ["list-set nowhere", [1, 2], { op: "list-set", value: 3 }, [1, 2]],
  ["list-set without a value", [1, 2], { op: "list-set", index: 0 }, [null, 2]],
  ["list-set on an object", { a: 1 }, { op: "list-set", index: 0, value: 3 }, { a: 1 }],

  ["list-push", [1], { op: "list-push", value: 2 }, [1, 2]],
  ["list-push of a list is one item", [1], { op: "list-push", value: [2, 3] }, [1, [2, 3]]],
  ["list-push without a value", [1], { op: "list-push" }, [1, null]],
  ["list-push on an object", { a: 1 }, { op: "list-push", value: 2 }, { a: 1 }],
  ["list-push on nothing", undefined, { op: "list-push", value: 2 }, undefined],

  ["list-insert", [1, 2], { op: "list-insert", index: 1, value: 3 }, [1, 3, 2]],
  ["list-insert of many", [1, 2], { op: "list-insert", index: 1, values: [3, 4] }, [1, 3, 4, 2]],
  ["list-insert of lists", [1], { op: "list-insert", index: 0, values: [[2], [3]] }, [[2], [3], 1]],
  ["list-insert of one list", [1], { op: "list-insert", index: 0, value: [2] }, [[2], 1]],
  ["list-insert of none", [1], { op: "list-insert", index: 0, values: [] }, [1]],
  ["list-insert prefers the one", [1], { op: "list-insert", index: 0, value: 2, values: [3, 4] }, [2, 1]],
  ["list-insert of zero throws on clients", [1], { op: "list-insert", index: 0, value: 0 }, [1]],
  ["list-insert of zero among many", [1], { op: "list-insert", index: 0, values: [0] }, [0, 1]],
  ["list-insert from the end", [1, 2], { op: "list-insert", index: -1, values: [3, 4] }, [1, 3, 4, 2]],
  ["list-insert past the end", [1], { op: "list-insert", index: 9, value: 2 }, [1, 2]],
  ["list-insert nowhere is at the start", [1], { op: "list-insert", index: null, value: 2 }, [2, 1]],

  ["list-delete", [1, 2, 3, 4], { op: "list-delete", index: 1, count: 2 }, [1, 4]],
  ["list-delete of more than there is", [1, 2], { op: "list-delete", index: 1, count: 9 }, [1]],
  ["list-delete of no count", [1, 2], { op: "list-delete", index: 0 }, [1, 2]],
  ["list-delete from the end", [1, 2, 3], { op: "list-delete", index: -1, count: 1 }, [1, 2]],

  ["list-move-by-index", [1, 2, 3], { op: "list-move-by-index", from: 0, to: 2 }, [2, 3, 1]],
  ["list-move-by-index from nowhere inserts nothing", [1], { op: "list-move-by-index", from: 5, to: 0 }, [null, 1]],

  [
    "list-move-by-ref",
    [ref("a"), ref("b")],
    { op: "list-move-by-ref", value: ref("b"), index: 0 },
    [ref("b"), ref("a")]
  ],
  [
    "list-move-by-ref of a file",
    [1, file("a")],
    { op: "list-move-by-ref", value: file("a"), index: 0 },
    [file("a"), 1]
  ],
  [
    "list-move-by-ref of another moves the last",
    [1, 2, 3],
    { op: "list-move-by-ref", value: ref("x"), index: 0 },
    [3, 1, 2]
  ],
  [
    "list-move-by-ref of an empty list inserts nothing",
    [],
    { op: "list-move-by-ref", value: ref("x"), index: 0 },
    [null]
  ],

  ["list-remove removes all", [1, 2, 1], { op: "list-remove", value: 1 }, [2]],
  ["list-remove of the first", [1, 2, 1], { op: "list-remove", value: 1, only: "first" }, [2, 1]],
  ["list-remove of the last", [1, 2, 1], { op: "list-remove", value: 1, only: "last" }, [1, 2]],
  ["list-remove of what is not there", [1, 2], { op: "list-remove", value: 3, only: "last" }, [1, 2]],
  ["list-remove by reference", [ref("a"), null, ref("a")], { op: "list-remove", value: ref("a") }, [null]],
  ["list-remove of a file, whatever its alt", [file("a", "x")], { op: "list-remove", value: file("a", "y") }, []],
  ["list-remove of a file is not of a reference", [ref("a")], { op: "list-remove", value: file("a") }, [ref("a")]],
  ["list-remove of another object", [{ a: 1 }], { op: "list-remove", value: { a: 1 } }, [{ a: 1 }]],
  ["list-remove of no value", [null], { op: "list-remove" }, [null]],

  ["list-add", [1], { op: "list-add", value: 2 }, [1, 2]],
  ["list-add of what is there", [1, 2], { op: "list-add", value: 2 }, [1, 2]],
  ["list-add of a reference that is there", [ref("a")], { op: "list-add", value: ref("a") }, [ref("a")]],
  ["list-add of a file that is there", [file("a")], { op: "list-add", value: file("a") }, [file("a"), file("a")]],
  ["list-add of no value", [null], { op: "list-add" }, [null, null]]
]

describe("Patch", () => {
  it.for(cases)("%s", ([, before, patch, after]) => {
    assert.isTrue(isPatch(patch))
    assert.strictEqual(JSON.stringify(applyPatch(before, patch)), JSON.stringify(after))
  })

  it("is applied to a list of any length, and inserts as many", () => {
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
    { op: "set", name: "a".repeat(4097) },
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
  ])("is not %j", (value) => {
    assert.isFalse(isPatch(value))
  })
})
