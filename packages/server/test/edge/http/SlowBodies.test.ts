/** Requests whose body comes slowly: an upload may take long, every other body is cut off. */
import { createConnection, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, bearer, beginUpload, rawForm, rawPart } from "#test-support/network/uploads"
import { startMemoryServer, type TestServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"

/** Starts a request whose body is shorter than its Content-Length says. */
const beginRequest = Effect.fnUntraced(function* (server: TestServer, head: ReadonlyArray<string>, body: string) {
  const socket = yield* Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = createConnection({ port: server.port, host: "127.0.0.1" }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  let answer = ""
  let closed = false
  socket.on("data", (data) => {
    answer += String(data)
  })
  socket.on("close", () => {
    closed = true
  })
  socket.write(`${[...head, "Host: server", "Content-Length: 1000"].join("\r\n")}\r\n\r\n${body}`)
  return { socket, answer: () => answer, closed: () => closed }
})

/** Sends a slow JSON body, and returns the answer with which it is cut off: proof that the body timeout has passed. */
const untilJsonIsCut = Effect.fnUntraced(function* (server: TestServer, token: string) {
  const head = ["POST /verdant HTTP/1.1", `Authorization: Bearer ${token}`, "Content-Type: application/json"]
  const slow = yield* beginRequest(server, head, '{"messages":[')
  yield* until("the connection is closed", slow.closed)
  return slow.answer()
})

const LIMITS = { bodyTimeout: "100 millis" } as const

describe("a slow request body", () => {
  it.live("is accepted for an upload, long after other bodies are cut off", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ limits: LIMITS })
      const token = yield* server.token("notes")
      const form = rawForm({ filename: "x", content: "a file that trickles" })
      const [beginning] = rawPart({ filename: "x", content: "" }).split("\r\n\r\n")
      const rest = form.slice(beginning!.length + 4)
      const upload = yield* beginUpload(server, token, "f1", { contentLength: form.length, content: "" })
      for (const part of [rest.slice(0, 5), rest.slice(5, 10), rest.slice(10)]) {
        assert.match(yield* untilJsonIsCut(server, token), /^HTTP\/1.1 408 /)
        upload.socket.write(part)
      }
      yield* until("the upload ends", () => upload.socket.destroyed || upload.answer().includes("}"))
      assert.match(upload.answer(), /^HTTP\/1.1 200 .*{"success":true}$/s)
      const { json } = yield* ask(`http://127.0.0.1:${server.port}/verdant/files/f1`, { headers: bearer(token) })
      const { bytes } = yield* ask((json as { url: string }).url)
      assert.strictEqual(bytes.toString(), "a file that trickles")
    })
  )

  it.live("is cut off with 408 when an upload exceeds its own timeout", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ files: { uploadTimeout: "100 millis" } })
      const upload = yield* beginUpload(server, yield* server.token("notes"), "f1", {
        contentLength: 999,
        content: "x"
      })
      yield* until("the upload ends", () => upload.socket.destroyed)
      assert.match(upload.answer(), /^HTTP\/1.1 408 /)
    })
  )

  for (const [what, head, status] of [
    ["of a refused upload", ["POST /verdant/files/f1 HTTP/1.1", "Content-Type: multipart/form-data; boundary=x"], 401],
    ["for an unknown path", ["POST /nowhere HTTP/1.1"], 404],
    ["of a request that needs none", ["GET /healthz HTTP/1.1"], 200]
  ] as const) {
    it.live(`${what} is answered at once, and then loses its connection`, () =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer({ limits: LIMITS })
        const slow = yield* beginRequest(server, head, "--x")
        yield* until("the request is answered", () => slow.answer().startsWith(`HTTP/1.1 ${status} `))
        yield* until("the connection is closed", slow.closed)
      })
    )
  }
})
