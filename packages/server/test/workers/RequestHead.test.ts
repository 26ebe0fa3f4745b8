import { assert, describe, it } from "@effect/vitest"
import { HeadBytes, parseHead } from "@sealog/server/workers/RequestHead"

const parse = (text: string) => parseHead(Buffer.from(text, "latin1"))

describe("the head of a request", () => {
  it("is complete with the empty line, whichever way its bytes arrive", () => {
    const text = Buffer.from("GET /document?sessionKey=x HTTP/1.1\r\nHost: localhost\r\n\r\nbody")
    const end = text.indexOf("\r\n\r\n") + 4
    for (let size = 1; size <= text.length; size++) {
      const head = new HeadBytes()
      let from = 0
      while (!head.add(text.subarray(from, from + size))) from += size
      const arrived = Math.min(from + size, text.length)
      assert.deepStrictEqual(head.all(), text.subarray(0, arrived))
      assert.isTrue(arrived >= end && arrived - size < end)
    }
  })

  it("has a URL, and headers by their names in lower case", () => {
    const head = parse("GET /a/b?c=d HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1\r\nx-forwarded-for:2 \r\n\r\n")
    assert.strictEqual(head?.url, "/a/b?c=d")
    assert.strictEqual(head?.header("host"), "localhost")
    assert.strictEqual(head?.header("x-forwarded-for"), "1, 2")
    assert.isUndefined(head?.header("upgrade"))
  })

  it("has no more than 2,000 headers, as in Node's parser", () => {
    const head = parse(`GET / HTTP/1.1\r\nfirst: 1\r\n${"a:b\r\n".repeat(1998)}last: 1\r\nmore: 1\r\n\r\n`)
    assert.deepStrictEqual(["first", "last", "more"].map(head!.header), ["1", "1", undefined])
  })

  it("is none without an end, a path or a version", () => {
    const broken = [
      "",
      "\r\n\r\n",
      "GET / HTTP/1.1\r\n",
      "GET * HTTP/1.1\r\n\r\n",
      "GET /\r\n\r\n",
      "get / HTTP/1.1\r\n\r\n"
    ]
    for (const text of broken) assert.isUndefined(parse(text), text)
  })
})
