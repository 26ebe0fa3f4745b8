import { assert, describe, it } from "@effect/vitest"
import { fits, hasAlready, parseRange } from "../../../../src/edge/http/files/Range.ts"
import {
  contentDisposition,
  displayName,
  isAmong,
  mediaType,
  servedAs
} from "../../../../src/protocols/verdant/files/FileHeaders.ts"

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

describe("the tag of a file", () => {
  const etag = '"abc"'
  it("is known by If-None-Match, also among others and weakly", () => {
    for (const header of ['"abc"', 'W/"abc"', '"x", "abc"', "*"]) assert.isTrue(hasAlready(header, etag), header)
    for (const header of [undefined, '"ab"', "abc", ""]) assert.isFalse(hasAlready(header, etag), header)
  })

  it("fits by If-Range only if it is the same, strongly", () => {
    for (const header of [undefined, '"abc"']) assert.isTrue(fits(header, etag), header)
    for (const header of ['W/"abc"', '"x"', "Wed, 21 Oct 2015 07:28:00 GMT"]) assert.isFalse(fits(header, etag), header)
  })
})

describe("a file's name", () => {
  for (const [name, shown] of [
    ["holiday photo.jpg", "holiday photo.jpg"],
    ["Übersicht – Größe 漢字 👩‍👩‍👧.png", "Übersicht – Größe 漢字 👩‍👩‍👧.png"],
    ["../../../x", "x"],
    ["..\\..\\windows\\x.dll", "x.dll"],
    ["/etc/passwd", "passwd"],
    ["a\u0000b\r\nSet-Cookie: x", "abSet-Cookie: x"],
    ["photo\u202Egpj.exe", "photogpj.exe"],
    ["\ud800broken", "\ufffdbroken"],
    ["..", "file"],
    [".", "file"],
    ["", "file"],
    ["folder/", "file"],
    ["   ", "file"],
    [".bashrc", ".bashrc"]
  ] as const) {
    it(`${JSON.stringify(name)} is shown as ${JSON.stringify(shown)}`, () =>
      assert.strictEqual(displayName(name), shown))
  }

  it("is cut in the middle when it is too long, between characters", () => {
    const name = displayName(`${"👍".repeat(5000)}.extension`)
    assert.strictEqual(Array.from(name).length, 200)
    assert.isTrue(name.endsWith("👍.extension") && name.isWellFormed())
  })

  it("cannot end the header that it is in", () => {
    assert.strictEqual(
      contentDisposition("inline", `a"b\\c%41 'ö' (1)*.txt`),
      `inline; filename="a_b_c_41 '_' (1)*.txt"; filename*=UTF-8''a%22b%5Cc%2541%20%27%C3%B6%27%20%281%29%2A.txt`
    )
  })
})

describe("a file's type", () => {
  it("is a media type without parameters, or unknown", () => {
    assert.strictEqual(mediaType("Text/HTML; charset=utf-8"), "text/html")
    assert.strictEqual(mediaType("image/svg+xml"), "image/svg+xml")
    for (const type of ["", "text", "text/", "/x", "a/b/c", "text/html\r\nx: y", `a/${"b".repeat(64)}`, "*/*"]) {
      assert.strictEqual(mediaType(type), "application/octet-stream", type)
    }
  })

  it("is among types by name and by group", () => {
    assert.isTrue(isAmong("image/png", ["application/pdf", "image/*"]))
    assert.isTrue(isAmong("application/pdf", ["application/pdf", "image/*"]))
    for (const type of ["application/pdfx", "imagex/png", "text/plain"]) {
      assert.isFalse(isAmong(type, ["application/pdf", "image/*"]), type)
    }
  })

  it("is served as it is only if a browser does nothing but show it", () => {
    for (const type of ["image/png", "video/mp4", "audio/ogg", "text/plain"]) {
      assert.deepStrictEqual(servedAs(type), { type, disposition: "inline" })
    }
    for (const type of ["text/html", "text/javascript", "text/css", "application/xhtml+xml", "application/pdf"]) {
      assert.deepStrictEqual(servedAs(type), { type: "application/octet-stream", disposition: "attachment" })
    }
    assert.deepStrictEqual(servedAs("image/svg+xml"), { type: "image/svg+xml", disposition: "attachment" })
  })
})
