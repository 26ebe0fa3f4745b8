/** The server answers the pages and the hosts of one list, on sockets and on every route. */
import { request } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { WebSocket } from "ws"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { libraryOn } from "#test-support/verdant/Library"
import { parseOrigins } from "../../src/edge/Origins.ts"

interface Asked {
  readonly method?: string
  readonly path?: string
  readonly host?: string
  readonly origin?: string
  readonly token?: string
}

/** One request with any Host header, which `fetch` does not allow. */
const ask = (port: number, { host, method = "GET", origin, path = "/healthz", token }: Asked) =>
  Effect.callback<{ readonly status: number | undefined; readonly allowed: string | undefined; readonly body: string }>(
    (resume) => {
      const headers = {
        ...(host === undefined ? {} : { host }),
        ...(origin === undefined ? {} : { origin }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      }
      const sent = request({ port, host: "127.0.0.1", method, path, headers }, (response) => {
        let body = ""
        response.on("data", (chunk) => {
          body += String(chunk)
        })
        response.on("end", () =>
          resume(
            Effect.succeed({
              status: response.statusCode,
              allowed: response.headers["access-control-allow-origin"],
              body
            })
          )
        )
      })
      sent.end(method === "POST" ? '{"messages":[]}' : undefined)
    }
  )

/** The status with which the server answers an upgrade; 101 when it accepts it. */
const upgrade = (port: number, path: string, { host, origin }: Asked, protocols: ReadonlyArray<string> = []) =>
  Effect.callback<number>((resume) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [...protocols], {
      ...(origin === undefined ? {} : { origin }),
      headers: host === undefined ? {} : { host }
    })
    socket.on("open", () => {
      socket.terminate()
      resume(Effect.succeed(101))
    })
    socket.on("unexpected-response", (_, response) => resume(Effect.succeed(response.statusCode ?? 0)))
    socket.on("error", () => {})
  })

const app = "https://app.example.org"
const host = "sync.example.org"

describe("a server with a list of origins", () => {
  const start = startMemoryServer({ origins: [app, `https://${host}`] })

  it.live("answers requests of its origins for its hosts, and no others", () =>
    Effect.gen(function* () {
      const server = yield* start
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "ada" })
      for (const [method, path] of [
        ["POST", "/verdant"],
        ["OPTIONS", "/verdant"],
        ["GET", "/verdant/files/file1"],
        ["OPTIONS", "/verdant/files/file1"],
        ["GET", "/verdant/files/file1/content"],
        ["GET", "/nothing"]
      ] as const) {
        const asks = (asked: Asked) => ask(server.port, { method, path, token, ...asked })
        for (const origin of [app, `https://${host}`, undefined]) {
          const answer = yield* asks({ host, ...(origin === undefined ? {} : { origin }) })
          assert.notInclude([403, 421], answer.status, `${method} ${path}`)
          if (path !== "/nothing") assert.strictEqual(answer.allowed, origin, `${method} ${path}`)
        }
        for (const origin of ["https://evil.example", "null", "http://app.example.org", `${app}:8443`, `${app}.evil`]) {
          const answer = yield* asks({ host, origin })
          assert.deepStrictEqual([answer.status, answer.allowed], [403, undefined], `${method} ${path} ${origin}`)
        }
        for (const wrong of ["evil.example", "127.0.0.1", `${host}.evil.example`, `${host}.`, ""]) {
          assert.strictEqual((yield* asks({ host: wrong })).status, 421, `${method} ${path} ${wrong}`)
        }
        assert.notStrictEqual((yield* asks({ host: `SYNC.example.org:8443`, origin: app })).status, 421)
      }
    })
  )

  it.live("tells its health to a probe that addresses it by its address", () =>
    Effect.gen(function* () {
      const { port } = yield* start
      assert.strictEqual((yield* ask(port, {})).status, 200)
      assert.strictEqual((yield* ask(port, { origin: "https://evil.example" })).status, 403)
    })
  )

  it.live("upgrades sockets of its origins for its hosts, and no others", () =>
    Effect.gen(function* () {
      const server = yield* start
      const library = libraryOn(server)
      const bearer = ["Bearer", yield* library.token({ userId: "ada" })]
      const path = `/document?sessionKey=${yield* server.token("notes")}`
      for (const asks of [
        (asked: Asked) => upgrade(server.port, path, asked),
        (asked: Asked) => upgrade(server.port, "/verdant", asked, bearer)
      ]) {
        assert.strictEqual(yield* asks({ host, origin: app }), 101)
        // A client that is no browser.
        assert.strictEqual(yield* asks({ host }), 101)
        assert.strictEqual(yield* asks({ host, origin: "https://evil.example" }), 403)
        assert.strictEqual(yield* asks({ host: "evil.example", origin: "http://evil.example" }), 403)
        assert.strictEqual(yield* asks({ host: "evil.example" }), 421)
      }
    })
  )
})

describe("a server for this machine", () => {
  it.live("answers pages and hosts of this machine on any port, and no others", () =>
    Effect.gen(function* () {
      const { port } = yield* startMemoryServer({ origins: "this-machine" })
      const path = "/verdant"
      for (const origin of [
        "http://localhost:5173",
        "http://127.0.0.1:3000",
        "http://[::1]:8080",
        "https://localhost"
      ]) {
        for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]) {
          assert.strictEqual((yield* ask(port, { method: "POST", path, host, origin })).status, 401)
        }
      }
      for (const origin of [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://192.168.1.5:3000",
        "null"
      ]) {
        assert.strictEqual((yield* ask(port, { method: "POST", path, origin })).status, 403, origin)
      }
      // DNS rebinding: the page's own name leads to this machine.
      assert.strictEqual((yield* ask(port, { path, host: `evil.example:${port}` })).status, 421)
    })
  )
})

describe("a list of origins", () => {
  it.each([
    "app.example.org",
    "https://app.example.org/path",
    "https://",
    "*",
    "null",
    "",
    "https://a b",
    "https://u@host"
  ])("refuses %j", (entry) => assert.isTrue(Result.isFailure(parseOrigins([entry]))))

  it.each([
    "https://app.example.org",
    "http://localhost:3000",
    "capacitor://localhost",
    "https://app.example.org:443/"
  ])("takes %j", (entry) => assert.isTrue(Result.isSuccess(parseOrigins([entry]))))
})
