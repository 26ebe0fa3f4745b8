import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import fc from "fast-check"
import { DocumentId, decodeDocumentId } from "../../src/domain/Ids.ts"
import { documentPathOf, parseTarget } from "../../src/protocols/secsync/ConnectionUrl.ts"

const isDocumentId = Schema.is(DocumentId)

/** The request target that a client sends: secsync puts the id into the URL as it is. */
const targetOf = (endpoint: string, documentId: string): string => {
  const { pathname, search } = new URL(`${endpoint}/${documentId}?sessionKey=a.b.c&mode=complete`)
  return pathname + search
}

describe("ids of documents", () => {
  const accepted = [
    "team/notes",
    "Übersicht",
    "a b",
    " a ",
    "100%",
    "50%25",
    "a%2Fb",
    "%2e%2e%2f",
    "ada+notes@example.org",
    "x".repeat(200),
    "👩‍👩‍👧".repeat(40),
    "\"<>`{}^|[]&=;,!$'()*",
    "a//b/",
    ".hidden",
    "…/.../..a",
    "constructor"
  ]
  for (const id of accepted) {
    it(`${JSON.stringify(id.slice(0, 40))} is an id, and a client's URL carries it`, () => {
      assert.isTrue(isDocumentId(id))
      for (const endpoint of ["ws://server", "ws://server/"]) {
        const target = parseTarget(targetOf(endpoint, id))
        assert.strictEqual(target?.documentId, id)
        assert.strictEqual(target?.token, "a.b.c")
      }
      const path = documentPathOf("/sync/Übung/")
      assert.strictEqual(parseTarget(targetOf("ws://server/sync/Übung", id), path)?.documentId, id)
      assert.strictEqual(parseTarget(targetOf("ws://server/sync/Übung/", id), path)?.documentId, id)
    })
  }

  const refused = ["", "/a", "@library", "a?b", "a#b", "a\\b", ".", "..", "a/../b", "./a", "a/%2E", "a\u0000b", "a\nb"]
  for (const id of [...refused, "\ud800", "x".repeat(201), "a%20b"]) {
    it(`${JSON.stringify(id.slice(0, 40))} is no id`, () => {
      assert.isFalse(isDocumentId(id))
    })
  }

  it("an id that an app has encoded itself names the document of the decoded id", () => {
    assert.strictEqual(parseTarget(targetOf("ws://server", encodeURIComponent("Über sicht")))?.documentId, "Über sicht")
    assert.strictEqual(decodeDocumentId("a%20b"), "a b")
  })

  it("a path outside of the server's own names no document", () => {
    const target = parseTarget("/other/a?sessionKey=t", "/sync")
    assert.deepStrictEqual([target?.documentId, target?.name], [undefined, "/other/a"])
    assert.isUndefined(parseTarget("/synced/a", "/sync")?.documentId)
    assert.isUndefined(parseTarget("/sync", "/sync")?.documentId)
    assert.isUndefined(parseTarget("/sync/", "/sync")?.documentId)
  })

  it("decoding an id twice gives the same, and a URL carries each id", () => {
    const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.stringMatching(/^(%[0-9A-Fa-f]{2}|[%a/. "é]){1,12}$/))
    fc.assert(
      fc.property(text, (id) => {
        const decoded = decodeDocumentId(id)
        assert.strictEqual(decodeDocumentId(decoded), decoded)
        if (isDocumentId(decoded)) assert.strictEqual(parseTarget(targetOf("ws://server", id))?.documentId, decoded)
      }),
      { numRuns: 2000 }
    )
  })
})
