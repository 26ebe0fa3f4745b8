import { assert, describe, it } from "@effect/vitest"
import { parseHead } from "@sealog/server/workers/RequestHead"
import { routeKeyOf } from "@sealog/server/workers/routeKey"

const keyOf = (url: string, headers: ReadonlyArray<string> = [], documentPath = "") =>
  routeKeyOf(parseHead(Buffer.from([`GET ${url} HTTP/1.1`, ...headers, "", ""].join("\r\n")))!, documentPath)

const upgrade = "Upgrade: websocket"
const tokenOf = (claims: unknown) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`

describe("the key of a request", () => {
  it("is a Secsync document, whatever else is in the URL", () => {
    assert.strictEqual(keyOf("/one?sessionKey=a", [upgrade]), "document one")
    assert.strictEqual(keyOf("/one?sessionKey=b&mode=delta", [upgrade]), "document one")
    assert.strictEqual(keyOf("//one?sessionKey=a", [upgrade]), "document one")
    assert.strictEqual(keyOf("/sync/one?sessionKey=a", [upgrade], "/sync"), "document one")
    assert.isUndefined(keyOf("/one?sessionKey=a", [upgrade], "/sync"))
  })

  it("is the library in a Verdant client's token, for sockets, polls and files", () => {
    const token = tokenOf({ lib: "notes", sub: "ada" })
    const [header, protocol] = [`Authorization: Bearer ${token}`, `Sec-WebSocket-Protocol: Bearer, ${token}`]
    assert.strictEqual(keyOf("/verdant", [header]), "library notes")
    assert.strictEqual(keyOf("/verdant", [upgrade, protocol]), "library notes")
    assert.strictEqual(keyOf("/verdant/files/one", [header]), "library notes")
    assert.strictEqual(keyOf("/verdant?sessionKey=a", [upgrade]), "document verdant")
  })

  it("is missing where any worker will do, and where a token says nothing", () => {
    for (const url of ["/", "/healthz", "/metrics", "/changes", "/admin/api/server/metrics", "/one"]) {
      assert.isUndefined(keyOf(url), url)
    }
    const useless = [
      "",
      "x",
      "x.y.z",
      tokenOf(null),
      tokenOf({}),
      tokenOf({ lib: 7 }),
      tokenOf({ lib: "" }),
      tokenOf([])
    ]
    for (const token of useless) assert.isUndefined(keyOf("/verdant", [`Authorization: Bearer ${token}`]), token)
  })
})
