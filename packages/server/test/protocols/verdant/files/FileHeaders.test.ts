/** Names and media types of uploads, made safe to show and to send. */
import { assert, describe, it } from "@effect/vitest"
import {
  contentDisposition,
  displayName,
  isAmong,
  mediaType,
  servedAs
} from "../../../../src/protocols/verdant/files/FileHeaders.ts"

describe("a file's name", () => {
  for (const [name, shown] of [
    ["holiday photo.jpg", "holiday photo.jpg"],
    ["Übersicht – Größe 漢字 👩‍👩‍👧.png", "Übersicht – Größe 漢字 👩‍👩‍👧.png"],
    ["../../../x", "x"],
    ["..\\..\\windows\\x.dll", "x.dll"],
    ["/etc/passwd", "passwd"],
    ["a\u0000b\r\nSet-Cookie: x", "abSet-Cookie: x"],
    ["photo\u202Egpj.exe", "photogpj.exe"],
    ["photo\u061Cgpj\u200B.\uFEFF\u{E0001}exe\u2028", "photogpj.exe"],
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

  it("is cut in the middle, between characters, when it is too long", () => {
    const name = displayName(`${"👍".repeat(5000)}.extension`)
    assert.strictEqual(Array.from(name).length, 200)
    assert.isTrue(name.endsWith("👍.extension") && name.isWellFormed())
  })

  it("cannot break out of the Content-Disposition header", () => {
    assert.strictEqual(
      contentDisposition("inline", `a"b\\c%41 'ö' (1)*.txt`),
      `inline; filename="a_b_c_41 '_' (1)*.txt"; filename*=UTF-8''a%22b%5Cc%2541%20%27%C3%B6%27%20%281%29%2A.txt`
    )
  })
})

describe("a file's type", () => {
  it("is a media type without parameters, or application/octet-stream", () => {
    assert.strictEqual(mediaType("Text/HTML; charset=utf-8"), "text/html")
    assert.strictEqual(mediaType("image/svg+xml"), "image/svg+xml")
    for (const type of ["", "text", "text/", "/x", "a/b/c", "text/html\r\nx: y", `a/${"b".repeat(64)}`, "*/*"]) {
      assert.strictEqual(mediaType(type), "application/octet-stream", type)
    }
  })

  it("matches a pattern by its name or by its group", () => {
    assert.isTrue(isAmong("image/png", ["application/pdf", "image/*"]))
    assert.isTrue(isAmong("application/pdf", ["application/pdf", "image/*"]))
    for (const type of ["application/pdfx", "imagex/png", "text/plain"]) {
      assert.isFalse(isAmong(type, ["application/pdf", "image/*"]), type)
    }
  })

  it("is served unchanged only when a browser just shows it", () => {
    for (const type of ["image/png", "video/mp4", "audio/ogg", "text/plain"]) {
      assert.deepStrictEqual(servedAs(type), { type, disposition: "inline" })
    }
    for (const type of ["text/html", "text/javascript", "text/css", "application/xhtml+xml", "application/pdf"]) {
      assert.deepStrictEqual(servedAs(type), { type: "application/octet-stream", disposition: "attachment" })
    }
    assert.deepStrictEqual(servedAs("image/svg+xml"), { type: "image/svg+xml", disposition: "attachment" })
  })
})
