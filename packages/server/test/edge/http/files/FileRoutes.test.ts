/** Upload, information and download of files, over real HTTP. */
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  ask,
  BOUNDARY,
  bearer,
  beginUpload,
  formHeaders,
  rawForm,
  rawPart,
  uploadFile
} from "#test-support/network/uploads"
import { type FileServer, layerFilesInMemory, SECRET, startFileServer } from "#test-support/servers/FileServer"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { libraryOn } from "#test-support/verdant/Library"
import { layerFileSystem } from "../../../../src/adapters/FileSystemBlobStore.ts"
import { layerMemory } from "../../../../src/adapters/MemoryBlobStore.ts"
import { resume, revoke, suspend } from "../../../../src/admin/Revocation.ts"
import { blake2b256 } from "../../../../src/domain/Blake2b.ts"
import { FileId, LibraryId } from "../../../../src/domain/Ids.ts"
import { NoFileRoutes } from "../../../../src/edge/http/files/FileRoutes.ts"
import { BlobKey, BlobStore, BlobStoreUnavailable } from "../../../../src/ports/BlobStore.ts"
import { StorageUnavailable } from "../../../../src/ports/EventLog.ts"
import { type FileRecord, VerdantFiles } from "../../../../src/protocols/verdant/files/FileCatalog.ts"
import { FileLinks } from "../../../../src/protocols/verdant/files/FileLinks.ts"

const isBlobKey = Schema.is(BlobKey)
const library = LibraryId.make("notes")
const fileId = FileId.make("clx3k9abc0000")

const textFile = (content: string, name = "note.txt", type = "text/plain") => new File([content], name, { type })

const until = (condition: Effect.Effect<boolean>) =>
  Effect.repeat(condition, { schedule: Schedule.spaced("5 millis"), until: (holds) => holds })

const storedKeys = (server: FileServer) =>
  Effect.map(Effect.orDie(Stream.runCollect(server.blobs.list)), (entries) => entries.map(({ key }) => key))

const recorded = (server: FileServer, id = fileId) => Effect.orDie(server.files.find(library, id))

const startWithFile = Effect.fnUntraced(function* (file = textFile("0123456789")) {
  const server = yield* startFileServer()
  const token = yield* server.token(library)
  assert.strictEqual((yield* uploadFile(server, token, fileId, file)).status, 200)
  const { json } = yield* ask(`${server.url}/${fileId}`, { headers: bearer(token) })
  return { server, token, content: `${server.url}/${fileId}/content`, link: (json as { url: string }).url }
})

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "sealog-files-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

describe("a file", () => {
  it.live("is uploaded, described, and downloaded by token and by link", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer()
      const token = yield* server.token(library)
      const file = textFile("hello, wörld", "Größe 漢字.txt")
      const uploaded = yield* uploadFile(server, token, fileId, file)
      assert.deepStrictEqual([uploaded.status, uploaded.json], [200, { success: true }])
      const { status, json, headers } = yield* ask(`${server.url}/${fileId}`, { headers: bearer(token) })
      const { url, ...information } = json as { url: string }
      assert.deepStrictEqual([status, headers.get("cache-control")], [200, "no-store"])
      assert.deepStrictEqual<unknown>(information, {
        id: fileId,
        name: "Größe 漢字.txt",
        type: "text/plain",
        libraryId: library
      })
      const bytes = Buffer.from("hello, wörld")
      for (const reply of [
        yield* ask(url),
        yield* ask(`${server.url}/${fileId}/content`, { headers: bearer(token) }),
        yield* ask(`${server.url}/${fileId}/content`, { headers: { "sec-websocket-protocol": `Bearer,${token}` } })
      ]) {
        assert.strictEqual(reply.status, 200)
        assert.isTrue(reply.bytes.equals(bytes))
        assert.deepInclude(Object.fromEntries(reply.headers), {
          "content-type": "text/plain",
          "content-length": String(bytes.length),
          "content-disposition": `inline; filename="Gr__e __.txt"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E6%BC%A2%E5%AD%97.txt`,
          "x-content-type-options": "nosniff",
          "content-security-policy": "sandbox; default-src 'none'",
          "accept-ranges": "bytes",
          etag: `"${blake2b256(bytes)}"`
        })
      }
      const record = yield* recorded(server)
      assert.deepInclude(record, { size: bytes.length, hash: blake2b256(bytes), userId: "somebody" })
    })
  )

  it.live("is downloaded unchanged, whether it is empty or has many chunks", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer()
      const token = yield* server.token(library)
      const large = Buffer.alloc(12 * 1024 * 1024 + 7)
      for (let i = 0; i < large.length; i += 4093) large[i] = i % 251
      for (const [id, bytes] of [
        ["empty", Buffer.alloc(0)],
        ["large", large]
      ] as const) {
        assert.strictEqual((yield* uploadFile(server, token, id, new File([bytes], "x"))).status, 200)
        const { json } = yield* ask(`${server.url}/${id}`, { headers: bearer(token) })
        const reply = yield* ask((json as { url: string }).url)
        assert.isTrue(reply.bytes.equals(bytes), id)
        assert.strictEqual(reply.headers.get("content-length"), String(bytes.length))
      }
    })
  )

  it.live("is served as an attachment when a browser could run it, whatever its declared type", () =>
    Effect.gen(function* () {
      for (const type of ["text/html", "text/javascript", "application/xhtml+xml", "nonsense", ""]) {
        const { link } = yield* startWithFile(textFile("<script>alert(1)</script>", "x.html", type))
        const { headers } = yield* ask(link)
        assert.strictEqual(headers.get("content-type"), "application/octet-stream", type)
        assert.match(headers.get("content-disposition")!, /^attachment;/)
      }
    })
  )

  it.live("has a link to the origin of the request, or to the configured origin", () =>
    Effect.gen(function* () {
      const urlOf = Effect.fnUntraced(function* (server: FileServer, headers: Record<string, string>) {
        const token = yield* server.token(library)
        yield* uploadFile(server, token, fileId, textFile("x"))
        const { json } = yield* ask(`${server.url}/${fileId}`, { headers: { ...bearer(token), ...headers } })
        return (json as { url: string }).url
      })
      const server = yield* startFileServer()
      const own = `127.0.0.1:${server.port}/verdant/files/${fileId}/content?`
      assert.isTrue((yield* urlOf(server, {})).startsWith(`http://${own}`))
      assert.isTrue((yield* urlOf(server, { "x-forwarded-proto": "https, http" })).startsWith(`https://${own}`))
      const behind = yield* startFileServer({ publicOrigin: "https://sync.example.org" })
      assert.isTrue((yield* urlOf(behind, {})).startsWith(`https://sync.example.org/verdant/files/${fileId}/content?`))
    })
  )

  it.live("loses its old bytes when it is uploaded again", () =>
    Effect.gen(function* () {
      const { server, token, link } = yield* startWithFile()
      const before = yield* ask(link)
      yield* uploadFile(server, token, fileId, textFile("another"))
      const after = yield* ask(link)
      assert.deepStrictEqual([before.bytes.toString(), after.bytes.toString()], ["0123456789", "another"])
      assert.notStrictEqual(before.headers.get("etag"), after.headers.get("etag"))
      assert.deepStrictEqual(yield* storedKeys(server), [(yield* recorded(server))!.blob])
    })
  )

  it.live("is one of the uploads as a whole when several clients upload it at once", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer()
      const token = yield* server.token(library)
      const contents = Array.from({ length: 12 }, (_, i) => String(i).repeat(10_000 + i))
      const upload = (content: string) => uploadFile(server, token, fileId, textFile(content))
      const replies = yield* Effect.forEach(contents, upload, { concurrency: "unbounded" })
      assert.isTrue(replies.every(({ status }) => status === 200))
      const { bytes } = yield* ask(`${server.url}/${fileId}/content`, { headers: bearer(token) })
      const record = (yield* recorded(server))!
      assert.include(contents, bytes.toString())
      assert.deepStrictEqual([record.size, record.hash], [bytes.length, blake2b256(bytes)])
      assert.deepStrictEqual(yield* storedKeys(server), [record.blob])
    })
  )

  it.live("is found again when an upload replaces it between lookup and download", () =>
    Effect.gen(function* () {
      let stale: FileRecord | undefined
      const files = Layer.effect(
        VerdantFiles,
        Effect.map(VerdantFiles, (files) =>
          VerdantFiles.of({
            ...files,
            find: (libraryId, fileId) =>
              Effect.suspend(() => {
                const found = stale
                stale = undefined
                return found === undefined ? files.find(libraryId, fileId) : Effect.succeed(found)
              })
          })
        )
      ).pipe(Layer.provide(layerFilesInMemory))
      const server = yield* startFileServer({}, { files })
      const token = yield* server.token(library)
      yield* uploadFile(server, token, fileId, textFile("before"))
      const before = yield* recorded(server)
      yield* uploadFile(server, token, fileId, textFile("after"))
      stale = before
      const { bytes } = yield* ask(`${server.url}/${fileId}/content`, { headers: bearer(token) })
      assert.strictEqual(bytes.toString(), "after")
    })
  )

  it.live("is answered with 404 when the store has lost its bytes", () =>
    Effect.gen(function* () {
      const { server, link } = yield* startWithFile()
      yield* Effect.orDie(server.blobs.delete((yield* recorded(server))!.blob))
      for (const method of ["GET", "HEAD"]) assert.strictEqual((yield* ask(link, { method })).status, 404)
      assert.deepStrictEqual((yield* ask(link)).json, { code: 4040 })
    })
  )
})

describe("ids and names", () => {
  it.live("never become a path, when a file's name is hostile", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const blobs = layerFileSystem({ directory: join(directory, "a", "files") })
      const server = yield* startFileServer({}, { blobs })
      const token = yield* server.token(library)
      const names = ["../../../x", "..%2f..%2fx", "/etc/passwd", "..\\..\\x", "C:\\x", "..", "", "é".repeat(4000)]
      for (const [i, filename] of names.entries()) {
        const body = rawForm({ filename, content: "hello" })
        const headers = { ...bearer(token), ...formHeaders }
        const { status } = yield* ask(`${server.url}/file${i}`, { method: "POST", headers, body })
        assert.strictEqual(status, 200, JSON.stringify(filename.slice(0, 20)))
        const { name } = (yield* recorded(server, FileId.make(`file${i}`)))!
        assert.match(name, /^[^/\\\p{Cc}]{1,200}$/u)
        assert.notInclude(["", ".", ".."], name)
      }
      const nul = rawForm({ filename: "a\u0000b", content: "hello" })
      const reply = yield* ask(`${server.url}/nul`, {
        method: "POST",
        headers: { ...bearer(token), ...formHeaders },
        body: nul
      })
      assert.deepStrictEqual(reply.json, { code: 4000 })
      const all = yield* Effect.promise(() => readdir(directory, { recursive: true, withFileTypes: true }))
      const files = all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
      const root = join(directory, "a", "files")
      assert.strictEqual(files.length, names.length)
      assert.isTrue(files.every((path) => isBlobKey(path.slice(root.length + 1))))
    })
  )

  it.live("are refused when a file's id is malformed", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer()
      const token = yield* server.token(library)
      for (const id of ["..%2F..%2Fx", "a%00b", "%C3%A9", "a.b", "a%20b", "x".repeat(129), "%"]) {
        const got = yield* ask(`${server.url}/${id}`, { headers: bearer(token) })
        assert.include([400, 404], got.status, id)
        const posted = yield* uploadFile(server, token, id, textFile("x"))
        assert.include([400, 404], posted.status, id)
      }
      assert.deepStrictEqual((yield* ask(`${server.url}/a.b`, { headers: bearer(token) })).json, { code: 4040 })
      assert.deepStrictEqual(yield* storedKeys(server), [])
    })
  )

  it.live("keep libraries apart, whatever characters their ids have", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer()
      for (const id of ["..", "a\\..\\b", "ü&=?#%2F", "x".repeat(200)]) {
        const token = yield* server.token(id)
        assert.strictEqual((yield* uploadFile(server, token, fileId, textFile(id))).status, 200)
        const { json } = yield* ask(`${server.url}/${fileId}`, { headers: bearer(token) })
        assert.strictEqual((yield* ask((json as { url: string }).url)).bytes.toString(), id)
      }
      assert.isTrue((yield* storedKeys(server)).every(isBlobKey))
    })
  )
})

describe("an upload is refused and leaves nothing behind when it", () => {
  const refused = Effect.fnUntraced(function* (server: FileServer, code: number, init: RequestInit) {
    const token = yield* server.token(library)
    const headers = { ...bearer(token), ...formHeaders, ...(init.headers as object) }
    const reply = yield* ask(`${server.url}/${fileId}`, { method: "POST", ...init, headers })
    assert.deepStrictEqual([reply.status, reply.json], [Math.floor(code / 10), { code }])
    assert.deepStrictEqual(yield* storedKeys(server), [])
    assert.isUndefined(yield* recorded(server))
  })

  const streamed = (text: string): RequestInit =>
    ({ body: new Blob([text]).stream(), duplex: "half" }) as unknown as RequestInit

  it.live("is too large, by its Content-Length or by its bytes", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer({ maxBytes: 100_000 })
      const largest = rawForm({ filename: "x", content: "x".repeat(100_000) })
      const larger = rawForm({ filename: "x", content: "x".repeat(100_001) })
      yield* refused(server, 4130, { body: larger })
      yield* refused(server, 4130, streamed(larger))
      yield* refused(server, 4130, { body: rawForm({ filename: "x", content: "x".repeat(3_000_000) }) })
      yield* refused(server, 4130, streamed(rawForm({ filename: "x", content: "x".repeat(3_000_000) })))
      const headers = { ...bearer(yield* server.token(library)), ...formHeaders }
      const reply = yield* ask(`${server.url}/${fileId}`, { method: "POST", headers, body: largest })
      assert.strictEqual(reply.status, 200)
    })
  )

  it.live("has a type that is not accepted", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer({ types: ["image/*", "application/pdf"] })
      yield* refused(server, 4150, { body: rawForm({ filename: "x", content: "x", type: "text/html" }) })
      yield* refused(server, 4150, { body: rawForm({ filename: "x", content: "x", type: "nonsense" }) })
      const token = yield* server.token(library)
      const image = yield* uploadFile(server, token, fileId, textFile("x", "x.png", "image/png"))
      assert.strictEqual(image.status, 200)
    })
  )

  const good = { filename: "x", content: "x" }
  for (const [what, init] of [
    ["has no file", { body: rawForm({ name: "other", content: "x" }) }],
    ["has a text field instead of the file", { body: rawForm({ content: "x" }) }],
    ["has a file under another name", { body: rawForm({ name: "other", ...good }) }],
    ["has two files", { body: rawForm(good, good) }],
    [
      "has something besides its file",
      { body: rawForm({ ...good, content: "x".repeat(100_000) }, { name: "y", content: "" }) }
    ],
    ["has a thousand parts", { body: rawForm(...Array.from({ length: 1000 }, () => ({ name: "y", content: "y" }))) }],
    ["has no parts", { body: rawForm() }],
    ["is empty", { body: "" }],
    ["is not a form", { body: "hello", headers: { "content-type": "text/plain" } }],
    ["is a form of another kind", { body: "file=x", headers: { "content-type": "application/x-www-form-urlencoded" } }],
    ["names no boundary", { body: rawForm(good), headers: { "content-type": "multipart/form-data" } }],
    ["names another boundary", { body: rawForm(good), headers: { "content-type": "multipart/form-data; boundary=y" } }],
    ["ends within its file", { body: rawPart(good).slice(0, -2) }],
    ["ends before the form does", { body: rawPart(good) }],
    ["has no blank line after its headers", { body: rawForm(good).replace("\r\n\r\n", "\r\n") }],
    ["has no headers", { body: `--${BOUNDARY}\r\n--${BOUNDARY}--\r\n` }],
    ["ends before the form does, with no Content-Length", streamed(rawPart({ ...good, content: "x".repeat(200_000) }))]
  ] as ReadonlyArray<readonly [string, RequestInit]>) {
    it.live(what, () => Effect.flatMap(startFileServer(), (server) => refused(server, 4000, init)))
  }

  for (const [when, sent] of [
    ["before its file", { start: `--${BOUNDARY}`, content: "" }],
    ["in its file", { content: "x".repeat(500) }],
    ["after its file", { content: `x\r\n--${BOUNDARY}\r\n` }]
  ] as const) {
    it.live(`pauses for too long ${when}`, () =>
      Effect.gen(function* () {
        const server = yield* startFileServer({ idleTimeout: "50 millis" })
        const token = yield* server.token(library)
        const { answer } = yield* beginUpload(server, token, fileId, { contentLength: 1000, ...sent })
        yield* until(Effect.sync(() => answer().includes('{"code":4080}')))
        assert.match(answer(), /^HTTP\/1.1 408 /)
        assert.deepStrictEqual(yield* storedKeys(server), [])
      })
    )
  }

  it.live("exceeds the number of simultaneous uploads; it succeeds later", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer({ maxUploads: 1 }, { blobs: layerWatched })
      const token = yield* server.token(library)
      const first = yield* beginUpload(server, token, "first", { contentLength: 1000, content: "x".repeat(500) })
      yield* until(Effect.sync(() => arrivals(server) === 1))
      const second = yield* uploadFile(server, token, fileId, textFile("x"))
      assert.deepStrictEqual([second.status, second.json], [503, { code: 5030 }])
      assert.strictEqual(second.headers.get("retry-after"), "1")
      first.socket.destroy()
      yield* until(Effect.map(uploadFile(server, token, fileId, textFile("x")), ({ status }) => status === 200))
    })
  )
})

/** Counts the uploads whose first bytes have arrived. */
const arrivedBy = new WeakMap<BlobStore["Service"], { count: number }>()
const arrivals = (server: FileServer): number => arrivedBy.get(server.blobs)!.count
const layerWatched = Layer.effect(
  BlobStore,
  Effect.map(BlobStore, (store) => {
    const arrived = { count: 0 }
    const watched = BlobStore.of({
      ...store,
      put: (key, bytes, maxBytes) => {
        let isFirst = true
        const seen = Stream.tap(bytes, () =>
          Effect.sync(() => {
            if (isFirst) arrived.count++
            isFirst = false
          })
        )
        return store.put(key, seen, maxBytes)
      }
    })
    arrivedBy.set(watched, arrived)
    return watched
  })
).pipe(Layer.provide(layerMemory))

describe("an interrupted upload", () => {
  it.live("leaves nothing behind", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const server = yield* startFileServer({}, { blobs: layerFileSystem({ directory }) })
      const token = yield* server.token(library)
      const incoming = Effect.promise(() => readdir(join(directory, ".incoming")))
      const { socket } = yield* beginUpload(server, token, fileId, {
        contentLength: 9_000_000,
        content: "x".repeat(500_000)
      })
      yield* until(Effect.map(incoming, ({ length }) => length === 1))
      socket.destroy()
      yield* until(Effect.map(incoming, ({ length }) => length === 0))
      assert.deepStrictEqual(yield* storedKeys(server), [])
      assert.isUndefined(yield* recorded(server))
    })
  )

  it.live("is refused with 4011 when its token is revoked, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer({}, { blobs: layerWatched })
      const token = yield* server.token(library)
      const { answer } = yield* beginUpload(server, token, fileId, { contentLength: 1000, content: "x".repeat(500) })
      yield* until(Effect.sync(() => arrivals(server) === 1))
      yield* server.run(revoke({ libraryId: library }))
      yield* until(Effect.sync(() => answer().includes('{"code":4011}')))
      assert.match(answer(), /^HTTP\/1.1 401 /)
      assert.deepStrictEqual(yield* storedKeys(server), [])
    })
  )
})

describe("an unavailable store", () => {
  it.live("of files gives 5030, so that the client repeats the upload", () =>
    Effect.gen(function* () {
      const failure = new BlobStoreUnavailable({ operation: "try", cause: new Error("on purpose") })
      const blobs = Layer.effect(
        BlobStore,
        Effect.map(BlobStore, (store) =>
          BlobStore.of({ ...store, put: () => Effect.fail(failure), get: () => Effect.fail(failure) })
        )
      ).pipe(Layer.provide(layerMemory))
      const server = yield* startFileServer({}, { blobs })
      const token = yield* server.token(library)
      const reply = yield* uploadFile(server, token, fileId, textFile("x"))
      assert.deepStrictEqual([reply.status, reply.json], [503, { code: 5030 }])
      assert.isUndefined(yield* recorded(server))
    })
  )

  it.live("of events keeps the uploaded bytes, because the file may be recorded anyway", () =>
    Effect.gen(function* () {
      const files = Layer.effect(
        VerdantFiles,
        Effect.map(VerdantFiles, (files) =>
          VerdantFiles.of({
            ...files,
            record: (libraryId, file) =>
              Effect.andThen(
                files.record(libraryId, file),
                Effect.fail(new StorageUnavailable({ operation: "commit", cause: new Error("connection lost") }))
              )
          })
        )
      ).pipe(Layer.provide(layerFilesInMemory))
      const server = yield* startFileServer({}, { files })
      const token = yield* server.token(library)
      const reply = yield* uploadFile(server, token, fileId, textFile("hello"))
      assert.deepStrictEqual([reply.status, reply.json], [503, { code: 5030 }])
      const { bytes } = yield* ask(`${server.url}/${fileId}/content`, { headers: bearer(token) })
      assert.strictEqual(bytes.toString(), "hello")
    })
  )
})

describe("a file of another user", () => {
  it.live("is not replaced: the upload is refused with 403, also when it began before the other one ended", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer({}, { blobs: layerWatched })
      const [token, another] = [yield* server.token(library), yield* server.token(library, { userId: "another" })]
      const content = "not mine"
      const contentLength = rawForm({ filename: "x", content }).length
      const slow = yield* beginUpload(server, another, fileId, { contentLength, content })
      yield* until(Effect.sync(() => arrivals(server) === 1))
      assert.strictEqual((yield* uploadFile(server, token, fileId, textFile("mine"))).status, 200)
      slow.socket.write(`\r\n--${BOUNDARY}--\r\n`)
      yield* until(Effect.sync(() => slow.answer().includes('{"code":4030}')))
      assert.match(slow.answer(), /^HTTP\/1.1 403 /)
      const reply = yield* uploadFile(server, another, fileId, textFile(content))
      assert.deepStrictEqual([reply.status, reply.json], [403, { code: 4030 }])
      const { bytes } = yield* ask(`${server.url}/${fileId}/content`, { headers: bearer(token) })
      assert.strictEqual(bytes.toString(), "mine")
      assert.deepStrictEqual(yield* storedKeys(server), [(yield* recorded(server))!.blob])
    })
  )
})

describe("access to a file", () => {
  const codeOf = (url: string, init?: RequestInit) =>
    Effect.map(ask(url, init), ({ status, json }) => [status, (json as { code?: number } | undefined)?.code])

  it.live("needs a valid token for its library", () =>
    Effect.gen(function* () {
      const { server, token, content } = yield* startWithFile()
      const expired = yield* server.token(library, { expiresIn: Duration.seconds(-1) })
      const [head, body] = token.split(".")
      for (const url of [`${server.url}/${fileId}`, content]) {
        for (const [authorization, code] of [
          [undefined, 4010],
          ["", 4011],
          [token, 4011],
          [`Basic ${token}`, 4011],
          ["Bearer", 4011],
          ["Bearer nonsense", 4011],
          [`Bearer ${head}.${body}.${"A".repeat(43)}`, 4011],
          [`Bearer ${expired}`, 4012]
        ] as const) {
          const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
          assert.deepStrictEqual(yield* codeOf(url, { headers }), [401, code], authorization)
        }
        const other = bearer(yield* server.token("another"))
        assert.deepStrictEqual(yield* codeOf(url, { headers: other }), [404, 4040])
        const some = bearer(yield* server.token(library, { documents: [] }))
        assert.deepStrictEqual(yield* codeOf(url, { headers: some }), [403, 4030])
        assert.strictEqual((yield* codeOf(url, { headers: { authorization: `bearer ${token}` } }))[0], 200)
      }
    })
  )

  it.live("needs a token that may write, for an upload", () =>
    Effect.gen(function* () {
      const { server, content } = yield* startWithFile()
      for (const token of [
        yield* server.token(library, { type: "read-only" }),
        yield* server.token(library, { type: "read-only-pull" }),
        yield* server.token(library, { documents: [] })
      ]) {
        const reply = yield* uploadFile(server, token, fileId, textFile("changed"))
        assert.deepStrictEqual([reply.status, reply.json], [403, { code: 4030 }])
      }
      const other = yield* server.token("another")
      assert.strictEqual((yield* uploadFile(server, other, fileId, textFile("theirs"))).status, 200)
      const reader = bearer(yield* server.token(library, { type: "read-only" }))
      assert.strictEqual((yield* ask(content, { headers: reader })).bytes.toString(), "0123456789")
    })
  )

  it.live("is refused while the library is suspended, and by a revoked token afterwards", () =>
    Effect.gen(function* () {
      const { server, token, content, link } = yield* startWithFile()
      const all = Effect.fnUntraced(function* () {
        const upload = yield* uploadFile(server, token, "another", textFile("x"))
        return [
          yield* codeOf(content, { headers: bearer(token) }),
          yield* codeOf(`${server.url}/${fileId}`, { headers: bearer(token) }),
          [upload.status, (upload.json as { code?: number }).code],
          yield* codeOf(link)
        ]
      })
      yield* server.run(suspend(library))
      assert.deepStrictEqual(yield* all(), Array(4).fill([503, 5031]))
      yield* server.run(resume(library))
      assert.deepStrictEqual(yield* all(), Array(4).fill([200, undefined]))
      yield* server.run(revoke({ libraryId: library }))
      // A link is not a token.
      assert.deepStrictEqual(yield* all(), [...Array(3).fill([401, 4011]), [200, undefined]])
    })
  )

  it.live("needs an unchanged link for that file, until the link expires", () =>
    Effect.gen(function* () {
      const { server, content, link } = yield* startWithFile()
      yield* uploadFile(server, yield* server.token(library), "another", textFile("secret"))
      const query = new URL(link).search
      assert.deepStrictEqual(yield* codeOf(`${server.url}/another/content${query}`), [401, 4011])
      assert.deepStrictEqual(yield* codeOf(link.replace("library=notes", "library=another")), [401, 4011])
      assert.deepStrictEqual(yield* codeOf(link.replace(/expires=\d/, "expires=9")), [401, 4011])
      assert.deepStrictEqual(yield* codeOf(link.replace(/signature=../, "signature=AA")), [401, 4011])
      assert.deepStrictEqual(yield* codeOf(link.replace(/signature=.*/, "")), [401, 4010])
      // A link gives the file's bytes, not its information.
      assert.deepStrictEqual(yield* codeOf(`${server.url}/${fileId}${query}`), [401, 4010])
      const links = yield* Effect.provide(FileLinks, FileLinks.layerTokens([Redacted.make(SECRET)]))
      const old = yield* links.sign(library, fileId, Duration.hours(1)).pipe(
        Effect.provide(TestClock.layer()) // In 1970.
      )
      assert.deepStrictEqual(yield* codeOf(`${content}?${old}`), [401, 4012])
      assert.strictEqual((yield* ask(link)).status, 200)
    })
  )
})

describe("a download", () => {
  it.live("returns the requested range", () =>
    Effect.gen(function* () {
      const { link } = yield* startWithFile()
      const get = (headers: Record<string, string>) => ask(link, { headers })
      for (const [range, bytes, contentRange] of [
        ["bytes=0-0", "0", "bytes 0-0/10"],
        ["bytes=2-4", "234", "bytes 2-4/10"],
        ["bytes=8-", "89", "bytes 8-9/10"],
        ["bytes=-3", "789", "bytes 7-9/10"],
        ["bytes=5-999", "56789", "bytes 5-9/10"]
      ] as const) {
        const reply = yield* get({ range })
        assert.strictEqual(reply.status, 206)
        assert.strictEqual(reply.bytes.toString(), bytes)
        assert.strictEqual(reply.headers.get("content-range"), contentRange)
        assert.strictEqual(reply.headers.get("content-length"), String(bytes.length))
      }
      for (const range of ["bytes=10-", "bytes=-0"]) {
        const reply = yield* get({ range })
        assert.deepStrictEqual([reply.status, reply.json], [416, { code: 4160 }])
        assert.strictEqual(reply.headers.get("content-range"), "bytes */10")
      }
      for (const range of ["bytes=1-2,4-5", "bytes=5-2", "pages=1-2"]) {
        const reply = yield* get({ range })
        assert.deepStrictEqual([reply.status, reply.bytes.toString()], [200, "0123456789"])
      }
    })
  )

  it.live("returns the whole file when If-Range names another version", () =>
    Effect.gen(function* () {
      const { link } = yield* startWithFile()
      const etag = (yield* ask(link)).headers.get("etag")!
      const range = "bytes=2-4"
      assert.strictEqual((yield* ask(link, { headers: { range, "if-range": etag } })).status, 206)
      const other = yield* ask(link, { headers: { range, "if-range": '"other"' } })
      assert.deepStrictEqual([other.status, other.bytes.toString()], [200, "0123456789"])
    })
  )

  it.live("returns 304 when the client's copy is current", () =>
    Effect.gen(function* () {
      const { link } = yield* startWithFile()
      const etag = (yield* ask(link)).headers.get("etag")!
      const same = yield* ask(link, { headers: { "if-none-match": `"x", ${etag}` } })
      assert.deepStrictEqual([same.status, same.bytes.length, same.headers.get("etag")], [304, 0, etag])
      assert.strictEqual((yield* ask(link, { headers: { "if-none-match": '"x"' } })).status, 200)
    })
  )

  it.live("returns the same headers for HEAD, without a body", () =>
    Effect.gen(function* () {
      const { link } = yield* startWithFile()
      const got = yield* ask(link)
      const head = yield* ask(link, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.bytes.length], [200, 0])
      const headersOf = ({ headers }: { headers: Headers }) =>
        Object.entries(Object.fromEntries(headers)).filter(
          ([name]) => !["date", "connection", "keep-alive"].includes(name)
        )
      assert.deepStrictEqual(headersOf(head), headersOf(got))
      const part = yield* ask(link, { method: "HEAD", headers: { range: "bytes=1-2" } })
      assert.deepStrictEqual([part.status, part.headers.get("content-length")], [206, "2"])
    })
  )

  it.live("is cut off when the app's policy does not allow it any more", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      let isRemoved = false
      const allows = () => Effect.succeed(!isRemoved)
      const server = yield* startFileServer({}, { blobs: layerFileSystem({ directory }), allows })
      const token = yield* server.token(library)
      // More than the buffers between server and client hold.
      yield* uploadFile(server, token, fileId, new File([new Uint8Array(30_000_000)], "x"))
      const response = yield* Effect.promise(() => fetch(`${server.url}/${fileId}/content`, { headers: bearer(token) }))
      isRemoved = true
      yield* server.changed({ libraryId: library })
      const exit = yield* Effect.exit(Effect.promise(() => response.arrayBuffer()))
      assert.strictEqual(exit._tag, "Failure")
    })
  )

  it.live("is cut off when the library is suspended", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const server = yield* startFileServer({}, { blobs: layerFileSystem({ directory }) })
      const token = yield* server.token(library)
      // More than the buffers between server and client hold.
      yield* uploadFile(server, token, fileId, new File([new Uint8Array(30_000_000)], "x"))
      const response = yield* Effect.promise(() => fetch(`${server.url}/${fileId}/content`, { headers: bearer(token) }))
      const reader = response.body!.getReader()
      yield* Effect.promise(() => reader.read())
      yield* server.run(suspend(library))
      const rest = Effect.promise(async () => {
        let bytes = 0
        for (;;) {
          const { done, value } = await reader.read()
          if (done) return bytes
          bytes += value.length
        }
      })
      const exit = yield* Effect.exit(rest)
      assert.strictEqual(exit._tag, "Failure")
    })
  )
})

describe("a browser", () => {
  it.live("of any origin may read files and refusals, with credentials", () =>
    Effect.gen(function* () {
      const { server, link } = yield* startWithFile()
      const origin = "https://app.example.org"
      const preflight = yield* ask(`${server.url}/${fileId}`, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization,content-type"
        }
      })
      assert.strictEqual(preflight.status, 204)
      assert.deepInclude(Object.fromEntries(preflight.headers), {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, HEAD, POST",
        "access-control-allow-headers": "Authorization,Content-Type,Range,If-Range,If-None-Match"
      })
      for (const url of [`${server.url}/${fileId}`, link]) {
        const { headers } = yield* ask(url, { headers: { origin } })
        assert.deepInclude(Object.fromEntries(headers), {
          "access-control-allow-origin": origin,
          "access-control-allow-credentials": "true",
          vary: "Origin"
        })
      }
    })
  )
})

describe("a server without a file store", () => {
  it.live("refuses every file request with 5010", () =>
    Effect.gen(function* () {
      const server = yield* startFileServer({}, { routes: NoFileRoutes() })
      const token = yield* server.token(library)
      const reply = yield* uploadFile(server, token, fileId, textFile("x"))
      assert.deepStrictEqual([reply.status, reply.json], [501, { code: 5010 }])
      assert.deepStrictEqual((yield* ask(`${server.url}/${fileId}`, { headers: bearer(token) })).json, { code: 5010 })
    })
  )
})

describe("the app's own URL of a file", () => {
  it.live.each([
    ["fails", Effect.die(new Error("a bug of the app"))],
    ["never comes", Effect.never]
  ] as const)("that %s is answered with 500, and the file stays", ([, answer]) =>
    Effect.gen(function* () {
      let url: Effect.Effect<string> = answer
      const server = yield* startMemoryServer({ files: { getUrl: () => url } })
      const { endpoint, token: tokenOf } = libraryOn(server)
      const token = yield* tokenOf({ userId: "ada" })
      const path = `${endpoint}/files/file1`
      const body = new FormData()
      body.append("file", new File(["0123456789"], "note.txt", { type: "text/plain" }))
      assert.strictEqual((yield* ask(path, { method: "POST", headers: bearer(token), body })).status, 200)
      assert.strictEqual((yield* ask(path, { headers: bearer(token) })).status, 500)
      url = Effect.succeed("https://cdn.example.org/file1")
      const { json } = yield* ask(path, { headers: bearer(token) })
      assert.propertyVal(json, "url", "https://cdn.example.org/file1")
    })
  )
})
