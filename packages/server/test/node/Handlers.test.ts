/** Sealog in the HTTP server of an app: its paths, what it leaves to the app, and limits that hold there too. */
import { createServer } from "node:http"
import { createServer as createTlsServer } from "node:https"
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fastify from "fastify"
import { generate } from "selfsigned"
import { WebSocket } from "ws"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, post } from "#test-support/clients/RawVerdant"
import { listen, openSealog, startMounted } from "#test-support/servers/MountedServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { nodeServerOptions } from "../../src/edge/Handlers.ts"
import { createSealog } from "../../src/node/createSealog.ts"
import { fileDirectory, memoryStorage } from "../../src/node/stores.ts"
import { ephemeralMessage, makeAuthor, snapshotMessage } from "../../src/testing/SealedMessages.ts"

const get = (url: string, init?: RequestInit) => Effect.promise(() => fetch(url, init))
const mint = (sealog: { readonly mint: (request: { userId: string; libraryId: string }) => Promise<string> }) =>
  Effect.promise(() => sealog.mint({ userId: "ada", libraryId: "notes" }))

/** The status that answers an upgrade; 101 if it is accepted. */
const upgradeStatus = (url: string, headers: Readonly<Record<string, string>> = {}) =>
  Effect.callback<number>((resume) => {
    const socket = new WebSocket(url, { headers })
    socket.on("error", () => {})
    socket.on("open", () => {
      socket.terminate()
      resume(Effect.succeed(101))
    })
    socket.on("unexpected-response", (_, response) => resume(Effect.succeed(response.statusCode ?? 0)))
  })

/** Stores a snapshot through the first client, and waits until the second one is sent it. */
const syncs = Effect.fnUntraced(function* (url: string, token: string) {
  const documentId = crypto.randomUUID()
  const [a, b] = [yield* connectRaw({ url, documentId, token }), yield* connectRaw({ url, documentId, token })]
  const snapshot = snapshotMessage(makeAuthor(), { docId: documentId })
  a.send(snapshot)
  yield* a.next("snapshot-saved")
  assert.deepStrictEqual(yield* b.next("snapshot"), { type: "snapshot", snapshot })
})

describe("Sealog in an app's server", () => {
  it.live("serves both protocols, and leaves every other path to the app", () =>
    Effect.gen(function* () {
      const { port, sealog, url } = yield* startMounted()
      const token = yield* mint(sealog)
      const answer = yield* post(libraryOn({ url }), token, [{ type: "heartbeat" }])
      assert.deepStrictEqual(answer.messages, [{ type: "heartbeat-response" }])
      const socket = yield* connectVerdant(libraryOn({ url }), token)
      yield* socket.settled
      yield* syncs(`ws://127.0.0.1:${port}`, token)
      for (const path of ["/", "/notes", "/healthz", "/verdantly", "/auth/x"]) {
        assert.strictEqual((yield* get(`${url}${path}`)).status, 204, path)
      }
      assert.strictEqual((yield* get(`${url}/verdant/unknown`)).status, 404)
      assert.deepStrictEqual(yield* Effect.promise(() => sealog.health()), { status: "ok" })
      assert.strictEqual(yield* upgradeStatus(`ws://127.0.0.1:${port}/live`), 404)
    })
  )

  it.live("serves them under a path, and files with links that have it", () =>
    Effect.gen(function* () {
      const directory = `${process.env["TMPDIR"] ?? "/tmp"}/sealog-${crypto.randomUUID()}`
      const { port, sealog, url } = yield* startMounted({ path: "/sync/", files: { store: fileDirectory(directory) } })
      const token = yield* mint(sealog)
      const library = libraryOn({ url: `${url}/sync` })
      assert.strictEqual((yield* post(library, token, [{ type: "heartbeat" }])).status, 200)
      yield* (yield* connectVerdant(library, token)).settled
      yield* syncs(`ws://127.0.0.1:${port}/sync`, token)
      for (const path of ["/verdant", "/sync", "/syncing/verdant", "/healthz"]) {
        assert.strictEqual((yield* get(`${url}${path}`)).status, 204, path)
      }
      assert.strictEqual(yield* upgradeStatus(`ws://127.0.0.1:${port}/doc?sessionKey=${token}`), 404)
      const form = new FormData()
      form.set("file", new File(["the picture"], "picture.txt", { type: "text/plain" }))
      const authorization = { authorization: `Bearer ${token}` }
      const uploaded = yield* get(`${library.endpoint}/files/f1`, {
        method: "POST",
        body: form,
        headers: authorization
      })
      assert.strictEqual(uploaded.status, 200)
      const info = yield* get(`${library.endpoint}/files/f1`, { headers: authorization })
      const { url: link } = (yield* Effect.promise(() => info.json())) as { readonly url: string }
      assert.isTrue(link.startsWith(`${url}/sync/verdant/files/f1/content?`), link)
      assert.strictEqual(yield* Effect.promise(async () => (await fetch(link)).text()), "the picture")
    })
  )

  it.live("is mounted in Fastify by a hook, before the body is parsed", () =>
    Effect.gen(function* () {
      const sealog = yield* openSealog()
      const app = fastify({ http: nodeServerOptions })
      app.addHook("onRequest", (request, reply, done) => {
        if (sealog.handlers.request(request.raw, reply.raw, done)) reply.hijack()
      })
      app.get("/hello", async () => "hello")
      app.server.on("upgrade", sealog.handlers.upgrade)
      const url = yield* Effect.acquireRelease(
        Effect.promise(() => app.listen({ port: 0, host: "127.0.0.1" })),
        () => Effect.promise(() => app.close())
      )
      const token = yield* mint(sealog)
      const library = libraryOn({ url })
      assert.strictEqual((yield* post(library, token, [{ type: "heartbeat" }])).status, 200)
      const socket = yield* connectVerdant(library, token)
      yield* socket.settled
      yield* syncs(url.replace("http", "ws"), token)
      assert.strictEqual(yield* Effect.promise(async () => (await fetch(`${url}/hello`)).text()), "hello")
      yield* socket.close
    })
  )

  it.live("is mounted in a server with TLS", () =>
    Effect.gen(function* () {
      const { cert, private: key } = yield* Effect.promise(async () =>
        generate([{ name: "commonName", value: "localhost" }])
      )
      const sealog = yield* openSealog()
      const server = createTlsServer({ cert, key }, (request, response) => sealog.handlers.request(request, response))
      server.on("upgrade", sealog.handlers.upgrade)
      const port = yield* listen(server)
      const token = yield* mint(sealog)
      const docId = crypto.randomUUID()
      const frames: Array<string> = []
      const socket = yield* Effect.acquireRelease(
        Effect.sync(
          () => new WebSocket(`wss://127.0.0.1:${port}/${docId}?sessionKey=${token}`, { rejectUnauthorized: false })
        ),
        (socket) => Effect.sync(() => socket.terminate())
      )
      socket.on("message", (data) => frames.push(JSON.parse(String(data)).type))
      yield* until("the document is there", () => frames.includes("document"))
      socket.send(JSON.stringify(snapshotMessage(makeAuthor(), { docId })))
      yield* until("the snapshot is saved", () => frames.includes("snapshot-saved"))
      socket.send(JSON.stringify(ephemeralMessage(makeAuthor(), { docId })))
    })
  )

  it.live("answers 500 for a body that the app has read, and logs what to do", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const sealog = yield* openSealog({ log: (_, message) => void lines.push(message) })
      const server = createServer((request, response) => {
        request.resume().once("end", () => void sealog.handlers.request(request, response))
      })
      const port = yield* listen(server)
      const answer = yield* post(libraryOn({ url: `http://127.0.0.1:${port}` }), yield* mint(sealog), [])
      assert.strictEqual(answer.status, 500)
      yield* until("it is logged", () => lines.some((line) => line.includes("put its handler before the body parsers")))
    })
  )

  it.live("answers 503 after close, and its methods reject", () =>
    Effect.gen(function* () {
      const { port, sealog, url } = yield* startMounted()
      const token = yield* mint(sealog)
      const client = yield* connectRaw({ url: `ws://127.0.0.1:${port}`, documentId: "doc", token })
      yield* Effect.promise(() => sealog.close())
      assert.strictEqual((yield* client.closed).code, 1001)
      assert.strictEqual((yield* post(libraryOn({ url }), token, [])).status, 503)
      assert.strictEqual(yield* upgradeStatus(`ws://127.0.0.1:${port}/doc?sessionKey=${token}`), 503)
      const rejected = Effect.tryPromise({ try: () => sealog.info("notes"), catch: (error) => (error as Error).name })
      assert.strictEqual(yield* Effect.flip(rejected), "SealogClosed")
    })
  )
})

describe("a limit", () => {
  it.live("of connections of one address holds in an app's server", () =>
    Effect.gen(function* () {
      const { port, sealog, url } = yield* startMounted({ limits: { maxConnectionsPerAddress: 2 } })
      const token = yield* mint(sealog)
      const socketUrl = `ws://127.0.0.1:${port}`
      yield* connectRaw({ url: socketUrl, documentId: "one", token })
      const second = yield* connectRaw({ url: socketUrl, documentId: "two", token })
      assert.strictEqual(yield* upgradeStatus(`${socketUrl}/three?sessionKey=${token}`), 429)
      const refused = { method: "POST", headers: { connection: "close" } }
      assert.strictEqual((yield* get(`${url}/verdant`, refused)).status, 429)
      // The app's own routes are the app's.
      assert.strictEqual((yield* get(`${url}/own`)).status, 204)
      second.socket.close()
      yield* second.closed
      yield* until(
        "there is a place again",
        Effect.map(upgradeStatus(`${socketUrl}/three?sessionKey=${token}`), (status) => status === 101)
      )
    })
  )

  it.live("of sockets, of requests and of bodies holds in an app's server", () =>
    Effect.gen(function* () {
      const limits = { maxConnections: 1, maxRequests: 0, maxFrameBytes: 1000 }
      const { port, sealog, url } = yield* startMounted({ limits })
      const token = yield* mint(sealog)
      const client = yield* connectRaw({ url: `ws://127.0.0.1:${port}`, documentId: "one", token })
      assert.strictEqual(yield* upgradeStatus(`ws://127.0.0.1:${port}/two?sessionKey=${token}`), 503)
      assert.strictEqual((yield* post(libraryOn({ url }), token, [])).status, 503)
      assert.strictEqual((yield* get(`${url}/own`)).status, 204)
      client.send("x".repeat(2000))
      assert.strictEqual((yield* client.closed).code, 1009)
    })
  )

  it.live("of origins and hosts holds for Sealog's paths alone", () =>
    Effect.gen(function* () {
      const { port, sealog, url } = yield* startMounted({ origins: ["https://app.example.org", "http://127.0.0.1"] })
      const token = yield* mint(sealog)
      const evil = { origin: "https://evil.example.org" }
      assert.strictEqual(yield* upgradeStatus(`ws://127.0.0.1:${port}/doc?sessionKey=${token}`, evil), 403)
      const good = { origin: "https://app.example.org" }
      assert.strictEqual(yield* upgradeStatus(`ws://127.0.0.1:${port}/doc?sessionKey=${token}`, good), 101)
      assert.strictEqual((yield* get(`${url}/verdant`, { method: "POST", headers: evil })).status, 403)
      assert.strictEqual((yield* get(`${url}/own`, { headers: evil })).status, 204)
    })
  )

  it.live("of silence, and of a slow body, holds in an app's server", () =>
    Effect.gen(function* () {
      const limits = { bodyTimeout: "100 millis", heartbeat: "100 millis" } as const
      const { port, sealog } = yield* startMounted({ limits })
      const token = yield* mint(sealog)
      const slow = connect({ port, host: "127.0.0.1" })
      let answer = ""
      slow.on("data", (data) => {
        answer += String(data)
      })
      slow.on("error", () => {})
      slow.write(`POST /verdant HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 10\r\n\r\n{`)
      yield* until("it is cut off", () => answer.startsWith("HTTP/1.1 408 "))
      const silent = connect({ port, host: "127.0.0.1" })
      let isClosed = false
      silent.on("close", () => {
        isClosed = true
      })
      silent.on("error", () => {})
      silent.resume()
      const key = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64")
      const head = [`GET /doc?sessionKey=${token} HTTP/1.1`, "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
      silent.write([...head, `Sec-WebSocket-Key: ${key}`, "Sec-WebSocket-Version: 13", "", ""].join("\r\n"))
      yield* until("the silent client is dropped", () => isClosed)
    })
  )

  it.live("that cannot be, such as a path with a query, rejects createSealog with a sentence", () =>
    Effect.gen(function* () {
      const failing = (options: object) =>
        Effect.flip(
          Effect.tryPromise({
            try: () => createSealog({ storage: memoryStorage(), access: { secret: "x".repeat(32) }, ...options }),
            catch: (error) => (error as Error).message
          })
        )
      assert.match(yield* failing({ path: "/a?b" }), /"\/a\?b" is not a path to mount the server at/)
      assert.match(yield* failing({ access: { secret: "short" } }), /A token secret has 5 bytes/)
      assert.match(yield* failing({ origins: ["nowhere"] }), /"nowhere" is not an origin/)
    })
  )
})
