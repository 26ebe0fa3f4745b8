/** Entity ids, compared with the client library. */
import { assert, describe, it } from "@effect/vitest"
import { createOid, createSubOid, decomposeOid, getOidRoot } from "@verdant-web/common"
import { Schema } from "effect"
import fc from "fast-check"
import {
  collectionOf,
  documentIdOf,
  isOid,
  isRoot,
  Oid,
  rootOf,
  rootOid
} from "../../../../src/domain/verdant/model/Oid.ts"

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 30, unit: "grapheme-ascii" }),
  fc.stringMatching(/^[a-z/:.&;]{1,20}$/),
  fc.constantFrom("__proto__", "constructor", "toString", "https://example.com/a.b?c=d:e", "ü", "日本", "👩‍👧")
)

describe("Oid", () => {
  it("accepts the ids that clients make, and splits them as clients do", () => {
    fc.assert(
      fc.property(name, name, (collection, documentId) => {
        const root = createOid(collection, documentId)
        assert.strictEqual(rootOid(collection, documentId), root)
        for (const oid of [root, createSubOid(root), createOid(collection, documentId, "1a2b3c4d")]) {
          assert.isTrue(isOid(oid), oid)
          const ours = Oid.make(oid)
          const theirs = decomposeOid(oid)
          assert.strictEqual(rootOf(ours), getOidRoot(oid))
          assert.strictEqual(collectionOf(ours), theirs.collection)
          assert.strictEqual(documentIdOf(ours), theirs.id)
          assert.strictEqual(isRoot(ours), theirs.subId === undefined)
        }
      })
    )
  })

  it("accepts the path that old clients write before a part", () => {
    const oid = Oid.make("items/1.tags.0:1a2b3c4d")
    assert.strictEqual(rootOf(oid), "items/1")
    assert.strictEqual(documentIdOf(oid), "1")
    assert.isFalse(isRoot(oid))
  })

  it.for([
    "",
    "items",
    "items/",
    "/1",
    "items/:1",
    "items/.a",
    "items/1:",
    "it:ems/1",
    "it.ems/1",
    "__proto__",
    "items/a\u0000b",
    "items/a\nb",
    "items/1:\u0000",
    "items/\ud800",
    `items/${"a".repeat(507)}`,
    null,
    undefined,
    1,
    ["items/1"],
    { length: 3 }
  ])("rejects %j", (value) => {
    assert.isFalse(isOid(value))
    assert.isFalse(Schema.is(Oid)(value))
  })

  it("rejects 25 million characters", () => {
    assert.isFalse(isOid(`items/${"a".repeat(25_000_000)}`))
  })

  it("is undefined for a name that is empty or too long", () => {
    assert.isUndefined(rootOid("items", ""))
    assert.isUndefined(rootOid("", "1"))
    assert.isUndefined(rootOid("items", "/".repeat(100)))
  })

  it("may have 512 characters", () => {
    assert.isTrue(isOid(`items/${"a".repeat(506)}`))
  })
})
