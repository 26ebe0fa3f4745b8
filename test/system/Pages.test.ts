/** How a server shows its pages: the files, their headers, and which pages there are. */
import { request } from "node:http"
import { gunzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { accessibilityProblems, startBrowser } from "../support/browser/Browser.ts"
import { startDevServer } from "../support/browser/DevServer.ts"
import { mintToken, spawnServer } from "../support/servers/ServerProcess.ts"
import { freshStorage } from "../support/storage/databases.ts"

/** Sends a path as it is; `fetch` would resolve its dots. */
const get = (url: string, path: string, { method = "GET", headers = {} } = {}) =>
  Effect.callback<{ readonly status: number; readonly headers: Record<string, string>; readonly body: Buffer }>(
    (resume) => {
      const sent = request(url, { path, method, headers }, (response) => {
        const parts: Array<Buffer> = []
        response.on("data", (part) => parts.push(part))
        response.on("end", () =>
          resume(
            Effect.succeed({
              status: response.statusCode ?? 0,
              headers: response.headers as Record<string, string>,
              body: Buffer.concat(parts)
            })
          )
        )
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end()
    }
  )

describe("the pages of a server", () => {
  it.live("`serve --dev` shows a page, and names its address", () =>
    Effect.gen(function* () {
      const { output, url } = yield* startDevServer()
      assert.include(output(), `Open ${url}/ in a browser`)
      const page = yield* get(url, "/")
      assert.strictEqual(page.status, 200)
      assert.strictEqual(page.headers["content-type"], "text/html; charset=utf-8")
      assert.strictEqual(page.headers["cache-control"], "no-cache")
      assert.match(page.headers["content-security-policy"] ?? "", /^default-src 'none'; script-src 'self' 'wasm-/)
      assert.strictEqual(page.headers["x-content-type-options"], "nosniff")

      const [, script = ""] = /src="([^"]+)"/.exec(String(page.body)) ?? []
      const asset = yield* get(url, script)
      assert.strictEqual(asset.headers["content-type"], "text/javascript; charset=utf-8")
      assert.include(asset.headers["cache-control"], "immutable")
      const smaller = yield* get(url, script, { headers: { "accept-encoding": "br, gzip" } })
      assert.strictEqual(smaller.headers["content-encoding"], "gzip")
      assert.isBelow(smaller.body.length, asset.body.length)
      assert.isTrue(gunzipSync(smaller.body).equals(asset.body))
      const refused = yield* get(url, script, { headers: { "accept-encoding": "gzip;q=0, identity" } })
      assert.isUndefined(refused.headers["content-encoding"])

      const known = yield* get(url, "/", { headers: { "if-none-match": `W/${page.headers["etag"]}` } })
      assert.deepStrictEqual([known.status, known.body.length], [304, 0])
      const head = yield* get(url, "/", { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.body.length], [200, 0])
      assert.strictEqual(head.headers["content-length"], String(page.body.length))
    })
  )

  it.live("no path leads out of the page's folder", () =>
    Effect.gen(function* () {
      const { url } = yield* startDevServer()
      const paths = ["/../admin/index.html", "/assets/../../admin/index.html", "/%2e%2e/admin/index.html"]
      const more = ["/assets/..%2f..%2f..%2fpackage.json", "/assets//etc/passwd", "/assets/", "/assets", "/index.html"]
      for (const path of [...paths, ...more]) assert.strictEqual((yield* get(url, path)).status, 404, path)
    })
  )

  it.live("a server that is not in dev mode shows nothing, and with --admin the operator's page", () =>
    Effect.gen(function* () {
      const plain = yield* spawnServer(yield* freshStorage, { args: ["--migrate"] })
      for (const path of ["/", "/admin", "/assets/x.js"]) {
        assert.strictEqual((yield* get(plain.url.replace("ws", "http"), path)).status, 404, path)
      }
      const admin = yield* spawnServer(yield* freshStorage, { args: ["--migrate", "--admin"] })
      const url = admin.url.replace("ws", "http")
      assert.strictEqual((yield* get(url, "/")).status, 404)
      const page = yield* get(url, "/admin")
      assert.strictEqual(page.status, 200)
      assert.notInclude(page.headers["content-security-policy"], "unsafe-inline")
      const token = yield* mintToken("notes")
      const api = yield* get(url, "/admin/api/libraries", { headers: { authorization: `Bearer ${token}` } })
      assert.strictEqual(api.status, 401)

      const { page: shown } = yield* (yield* startBrowser).open(`${url}/admin`)
      const problems = yield* Effect.promise(async () => {
        await shown.getByRole("heading", { level: 1 }).waitFor()
        return accessibilityProblems(shown)
      })
      assert.deepStrictEqual(problems, [])
    })
  )
})
