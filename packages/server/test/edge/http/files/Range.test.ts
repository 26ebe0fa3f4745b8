/** Range and conditional request headers (RFC 9110, 13 and 14). */
import { assert, describe, it } from "@effect/vitest"
import { isCurrent, mayBePartial, parseRange } from "../../../../src/edge/http/files/Range.ts"

describe("a Range header", () => {
  const part = (offset: number, length: number) => ({ _tag: "Part", offset, length })
  const whole = { _tag: "Whole" }
  const unsatisfiable = { _tag: "Unsatisfiable" }
  for (const [header, size, wanted] of [
    [undefined, 100, whole],
    ["bytes=0-0", 100, part(0, 1)],
    ["bytes=0-99", 100, part(0, 100)],
    ["bytes=10-19", 100, part(10, 10)],
    ["bytes=90-200", 100, part(90, 10)],
    ["bytes=90-", 100, part(90, 10)],
    ["bytes=-10", 100, part(90, 10)],
    ["bytes=-200", 100, part(0, 100)],
    ["Bytes = 10 - 19", 100, part(10, 10)],
    ["bytes=100-", 100, unsatisfiable],
    ["bytes=100-200", 100, unsatisfiable],
    ["bytes=-0", 100, unsatisfiable],
    ["bytes=0-0", 0, unsatisfiable],
    ["bytes=-1", 0, unsatisfiable],
    ["bytes=20-10", 100, whole],
    ["bytes=-", 100, whole],
    ["bytes=", 100, whole],
    ["bytes=1-2,5-6", 100, whole],
    ["lines=1-2", 100, whole],
    ["bytes=a-b", 100, whole],
    ["bytes=--1", 100, whole],
    ["bytes=1-99999999999999999999", 100, whole]
  ] as const) {
    it(`${header} of ${size} bytes is ${JSON.stringify(wanted)}`, () => {
      assert.deepStrictEqual<unknown>(parseRange(header, size), wanted)
    })
  }
})

describe("a file's ETag", () => {
  const etag = '"abc"'
  it("matches If-None-Match weakly, also among other tags", () => {
    for (const header of ['"abc"', 'W/"abc"', '"x", "abc"', "*"]) assert.isTrue(isCurrent(header, etag), header)
    for (const header of [undefined, '"ab"', "abc", ""]) assert.isFalse(isCurrent(header, etag), header)
  })

  it("matches If-Range only strongly, and never a date", () => {
    for (const header of [undefined, '"abc"']) assert.isTrue(mayBePartial(header, etag), header)
    for (const header of ['W/"abc"', '"x"', "Wed, 21 Oct 2015 07:28:00 GMT"])
      assert.isFalse(mayBePartial(header, etag), header)
  })
})
