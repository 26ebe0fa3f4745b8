import { assert, describe, it } from "@effect/vitest"
import type { FileId } from "../../../src/domain/Ids.ts"
import { filesIn } from "../../../src/domain/verdant/model/FilesIn.ts"

const file = (id: unknown, alt?: string) => ({ "@@type": "file", id, ...(alt === undefined ? {} : { alt }) })
const id = (text: string) => text as FileId
const of = (value: unknown) => filesIn(value, JSON.stringify(value) ?? "")

describe("File references", () => {
  it("are found in the entity itself, each once", () => {
    const entity = { a: file("f1"), b: [file("f2"), { c: file("f1") }], d: { "@@type": "ref", id: "f3" }, e: "f4" }
    assert.deepStrictEqual(of(entity).toSorted(), [id("f1"), id("f2")])
    assert.deepStrictEqual(of(file("f1")), [id("f1")])
  })

  it("are left out when no stored file can have their id", () => {
    const others = ["", "../../etc/passwd", "a/b", "a".repeat(129), 1, null, undefined, {}, ["f1"]].map((id) =>
      file(id)
    )
    for (const entity of [others, null, undefined, 1, "file", JSON.parse(`{"__proto__":1}`)]) {
      assert.strictEqual(of(entity).length, 0)
    }
    assert.isTrue(of([file("constructor")]).includes(id("constructor")))
  })

  it("are found at any depth", () => {
    const text = `${"[".repeat(100_000)}{"@@type":"file","id":"f1"}${"]".repeat(100_000)}`
    assert.deepStrictEqual(filesIn(JSON.parse(text), text), [id("f1")])
  })
})
