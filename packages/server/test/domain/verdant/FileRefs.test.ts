import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { type FileChanges, type FileId, fileRefsOf, LiveFiles } from "../../../src/domain/verdant/FileRefs.ts"
import { Oid } from "../../../src/domain/verdant/Oid.ts"
import { applyPatch } from "../../../src/domain/verdant/Patch.ts"

const file = (id: unknown, alt?: string) => ({ "@@type": "file", id, ...(alt === undefined ? {} : { alt }) })
const [one, two] = ["items/1", "items/2:a"].map((oid) => Oid.make(oid)) as [Oid, Oid]
const id = (text: string) => text as FileId
const changes = ({ referenced, unreferenced }: FileChanges) => ({
  referenced: referenced.toSorted() as ReadonlyArray<string>,
  unreferenced: unreferenced.toSorted() as ReadonlyArray<string>
})

describe("File references", () => {
  it("are an entity's own", () => {
    const entity = { a: file("f1"), b: [file("f2"), { c: file("f1") }], d: { "@@type": "ref", id: "f3" }, e: "f4" }
    assert.deepStrictEqual(Array.from(fileRefsOf(entity)).sort(), ["f1", "f2"])
    assert.deepStrictEqual(Array.from(fileRefsOf(file("f1"))), ["f1"])
  })

  it("are to what can be a file", () => {
    const others = ["", "../../etc/passwd", "a/b", "a".repeat(129), 1, null, undefined, {}, ["f1"]].map((id) =>
      file(id)
    )
    for (const entity of [others, null, undefined, 1, "file", JSON.parse(`{"__proto__":1}`)]) {
      assert.strictEqual(fileRefsOf(entity).size, 0)
    }
    assert.isTrue(fileRefsOf([file("constructor")]).has(id("constructor")))
  })

  it("are found at any depth", () => {
    const deep = JSON.parse(`${"[".repeat(100_000)}{"@@type":"file","id":"f1"}${"]".repeat(100_000)}`)
    assert.isTrue(fileRefsOf(deep).has(id("f1")))
  })

  it("stay when only what stands beside them changes", () => {
    const live = new LiveFiles()
    const before = { image: file("f1") }
    assert.deepStrictEqual(changes(live.set(one, before)), { referenced: ["f1"], unreferenced: [] })
    const after = applyPatch(before, { op: "set", name: "image", value: file("f1", "A cat") })
    assert.deepStrictEqual(changes(live.set(one, after)), { referenced: [], unreferenced: [] })
    assert.isTrue(live.has(id("f1")))
  })

  it("go with all the items that are deleted", () => {
    const live = new LiveFiles()
    const list = [file("f1"), file("f2"), file("f3")]
    live.set(one, list)
    const left = applyPatch(list, { op: "list-delete", index: 0, count: 2 })
    assert.deepStrictEqual(changes(live.set(one, left)), { referenced: [], unreferenced: ["f1", "f2"] })
  })

  it("stay as long as any entity has them", () => {
    const live = new LiveFiles()
    live.set(one, [file("f1")])
    assert.deepStrictEqual(changes(live.set(two, { a: file("f1"), b: file("f1") })), {
      referenced: [],
      unreferenced: []
    })
    assert.deepStrictEqual(changes(live.set(one, undefined)), { referenced: [], unreferenced: [] })
    assert.isTrue(live.has(id("f1")))
    assert.deepStrictEqual(changes(live.set(two, undefined)), { referenced: [], unreferenced: ["f1"] })
    assert.isFalse(live.has(id("f1")))
  })

  it("are those of the entities as they are, whatever came before", () => {
    const entity = fc.oneof(fc.constant(undefined), fc.array(fc.constantFrom("f1", "f2", "f3").map((id) => file(id))))
    const step = fc.tuple(fc.constantFrom(one, two, Oid.make("__proto__/1")), entity)
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const live = new LiveFiles()
        const entities = new Map<Oid, unknown>()
        const filesNow = () =>
          new Set(Array.from(entities.values()).flatMap((entity) => Array.from(fileRefsOf(entity))))
        for (const [oid, entity] of steps) {
          const before = filesNow()
          entities.set(oid, entity)
          const after = filesNow()
          assert.deepStrictEqual(changes(live.set(oid, entity)), {
            referenced: Array.from(after)
              .filter((file) => !before.has(file))
              .sort(),
            unreferenced: Array.from(before)
              .filter((file) => !after.has(file))
              .sort()
          })
          for (const file of ["f1", "f2", "f3"].map(id)) assert.strictEqual(live.has(file), after.has(file))
        }
      })
    )
  })
})
