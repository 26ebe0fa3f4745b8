/** Canonical JSON, compared with the package `canonicalize`. */
import { assert, it } from "@effect/vitest"
import { canonicalJson, isSameJson } from "@sealog/server/domain/CanonicalJson"
import canonicalize from "canonicalize"
import fc from "fast-check"

const text = fc.string({ unit: "binary" })
const flat = fc.oneof(
  text,
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null)
)

it("canonicalJson returns the RFC 8785 text of any object, flat or nested", () => {
  fc.assert(
    fc.property(fc.oneof(fc.dictionary(text, flat), fc.dictionary(text, fc.jsonValue())), (value) => {
      assert.strictEqual(canonicalJson(value), canonicalize(value))
    }),
    { numRuns: 2000 }
  )
  for (const value of [{}, { z: 1, a: -0 }, { "\u20ac": 1e21, "\r": 1e-7, "1": "\u2028" }, { a: undefined }, [], [1]]) {
    assert.strictEqual(canonicalJson(value), canonicalize(value))
  }
  assert.strictEqual(canonicalJson(new Date(0)), canonicalize(new Date(0)))
})

it("canonicalJson throws for values that JSON cannot hold", () => {
  for (const value of [{ a: Number.NaN }, { a: Number.POSITIVE_INFINITY }, { a: "\ud800" }, { "\ud800": 1 }]) {
    assert.throws(() => canonicalJson(value))
    assert.throws(() => canonicalize(value))
  }
})

it("isSameJson is true exactly when the canonical texts are equal", () => {
  const few = fc.constantFrom<unknown>(
    0,
    -0,
    1,
    "0",
    "",
    null,
    true,
    [1],
    [2],
    { a: 1 },
    { a: 1, b: 2 },
    { b: 2, a: 1 }
  )
  const value = fc.dictionary(fc.constantFrom("a", "b", "1", "__proto__"), few, { maxKeys: 3 })
  fc.assert(
    fc.property(value, value, (a, b) => {
      assert.strictEqual(isSameJson(a, b), canonicalJson(a) === canonicalJson(b))
    }),
    { numRuns: 2000 }
  )
})
