import { assert, describe, it } from "@effect/vitest"
import { MAX_PARAMETERS, parseQuery } from "../../src/internal/parseQuery.ts"

describe("the parameters of a URL", () => {
  it("are those of URLSearchParams", () => {
    for (const query of ["", "?", "?a=1", "a=1&b=%20&a=2", "?a&&b", `${"a=&".repeat(MAX_PARAMETERS - 1)}last=1`]) {
      assert.deepStrictEqual(Array.from(parseQuery(query)), Array.from(new URLSearchParams(query)), query)
    }
  })

  it("are at most 64, however many the URL has", () => {
    const hostile = parseQuery(`?${"a=&".repeat(20_000)}last=1`)
    assert.strictEqual(hostile.size, MAX_PARAMETERS)
    assert.isFalse(hostile.has("last"))
  })
})
