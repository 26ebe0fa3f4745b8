/** A document as an app sees it: references replaced, cycles cut, and the size bounded. */
import { assert, describe, it } from "@effect/vitest"
import * as Verdant from "@verdant-web/common"
import { Result } from "effect"
import fc from "fast-check"
import { Oid } from "../../../../src/domain/verdant/model/Oid.ts"
import { documentView } from "../../../../src/domain/verdant/views/DocumentView.ts"

const root = Oid.make("items/1")
const ref = (part: string) => ({ "@@type": "ref", id: part === "" ? "items/1" : `items/1:${part}` })
const file = (id: string) => ({ "@@type": "file", id })

/** The view of a document, given its entities by their parts; "" is the root. */
const viewOf = (parts: Readonly<Record<string, unknown>>, maxSize?: number) => {
  const entities = new Map(Object.entries(parts).map(([part, entity]) => [ref(part).id, entity]))
  return documentView(root, {
    entity: (oid) => entities.get(oid),
    file: ({ id }) => ({ url: `/files/${id}` }),
    ...(maxSize === undefined ? {} : { maxSize })
  })
}
const seen = (parts: Readonly<Record<string, unknown>>): unknown => Result.getOrThrow(viewOf(parts))
const isTooLarge = (parts: Readonly<Record<string, unknown>>, maxSize?: number): boolean => {
  const result = viewOf(parts, maxSize)
  return Result.isFailure(result) && result.failure._tag === "ViewTooLarge"
}

describe("DocumentView", () => {
  it("replaces references by their entities", () => {
    const parts = { "": { title: "x", list: ref("a"), same: ref("a") }, a: [1, ref("b"), null], b: { done: false } }
    const list = [1, { done: false }, null]
    assert.deepStrictEqual(seen(parts), { title: "x", list, same: list })
  })

  it("replaces a file by the caller's value for it", () => {
    const url = { url: "/files/f1" }
    assert.deepStrictEqual(seen({ "": { image: file("f1"), all: ref("a") }, a: [file("f1")] }), {
      image: url,
      all: [url]
    })
  })

  it("is undefined without a root", () => {
    assert.isUndefined(seen({}))
    assert.isUndefined(seen({ a: {} }))
  })

  it("has null, or no item in a list, for a reference that fails", () => {
    const foreign = { "@@type": "ref", id: "items/2" }
    const broken = [{ "@@type": "ref" }, { "@@type": "ref", id: {} }, { "@@type": "ref", id: "__proto__" }]
    const parts = { "": { gone: ref("x"), foreign, list: ref("a") }, a: [1, ref("x"), foreign, ...broken, 2] }
    assert.deepStrictEqual(seen(parts), { gone: null, foreign: null, list: [1, 2] })
    let asked = 0
    documentView(root, { entity: (oid) => (oid === root ? [foreign] : asked++), file: () => null })
    assert.strictEqual(asked, 0, "an entity of another document is not read")
  })

  it("cuts a reference to an entity that contains it", () => {
    assert.deepStrictEqual(seen({ "": { self: ref(""), a: ref("a") }, a: [1, ref("b")], b: { a: ref("a") } }), {
      self: null,
      a: [1, { a: null }]
    })
    assert.isUndefined(seen({ "": ref("") }))
  })

  it("refuses a document that is too deep", () => {
    const chain = (length: number, wrap: (next: unknown) => unknown) =>
      Object.fromEntries(
        Array.from({ length }, (_, i) => [i === 0 ? "" : String(i), wrap(i === length - 1 ? 1 : ref(String(i + 1)))])
      )
    assert.isFalse(isTooLarge(chain(40, (next) => [next])))
    assert.isTrue(isTooLarge(chain(100_000, (next) => [next])))
    assert.isTrue(isTooLarge(chain(100_000, (next) => next)), "also with references alone")
    assert.isTrue(isTooLarge({ "": JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) }))
  })

  it("refuses a document that repetition makes too large, before it grows", () => {
    const doubling = Array.from({ length: 40 }, (_, i) => [
      i === 0 ? "" : String(i),
      [ref(`${i + 1}`), ref(`${i + 1}`)]
    ])
    assert.isTrue(isTooLarge({ ...Object.fromEntries(doubling), 40: { text: "x" } }))
    const wide = { "": Array(10_000).fill(ref("a")), a: Array(10_000).fill(ref("missing")) }
    assert.isTrue(isTooLarge(wide))
    assert.isTrue(isTooLarge({ "": Array(100).fill(ref("a")), a: "x".repeat(1_000_000) }))
    assert.isTrue(isTooLarge({ "": { text: "x".repeat(100) } }, 100))
    assert.isFalse(isTooLarge({ "": { text: "x".repeat(50) } }, 100))
  })

  it("drops a field __proto__, and keeps a field constructor", () => {
    const result = seen({ "": JSON.parse(`{"__proto__":{"polluted":1},"constructor":1}`) }) as object
    assert.deepStrictEqual(Object.keys(result), ["constructor"])
    assert.strictEqual(Object.getPrototypeOf(result), Object.prototype)
  })

  it("leaves the entities unchanged", () => {
    const entity = Object.freeze({ a: Object.freeze(ref("a")) })
    assert.deepStrictEqual(seen({ "": entity, a: Object.freeze([1]) }), { a: [1] })
  })

  it("restores the document that a client split into entities", () => {
    const primitive = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null))
    const { document } = fc.letrec((tie) => ({
      document: fc.dictionary(fc.constantFrom("a", "b", "constructor"), tie("value"), { noNullPrototype: true }),
      value: fc.oneof({ maxDepth: 4 }, primitive, fc.array(tie("value"), { maxLength: 4 }), tie("document"))
    }))
    fc.assert(
      fc.property(document, (document) => {
        const expected = structuredClone(document)
        const entities = new Map<string, unknown>()
        for (const { oid, data } of Verdant.initialToPatches(document, root, () => "")) {
          if (data.op === "initialize") entities.set(oid, data.value)
        }
        const view = documentView(root, { entity: (oid) => entities.get(oid), file: () => null })
        assert.deepStrictEqual(Result.getOrThrow(view), expected)
      })
    )
  })
})
