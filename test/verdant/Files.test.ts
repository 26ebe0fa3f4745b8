/** Files of documents: upload, links, and how long the server keeps them. */
import { assert, describe, it } from "@effect/vitest"
import { layerMemory } from "@sealog/server/adapters/MemoryBlobStore"
import { BlobStore } from "@sealog/server/ports/BlobStore"
import { Effect, Layer, Stream } from "effect"
import { post, syncResponse } from "../support/clients/RawVerdant.ts"
import { type ServerOnDatabaseOptions, startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { documentSnapshot, libraryInfo } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { fileRef, initialize, makeReplica, onlyUser, ref } from "../support/verdant/Replica.ts"
import { openClient, openClients, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

const picture = (text = "the picture") => new File([text], "picture.txt", { type: "text/plain" })

const imageOf = (client: VerdantClient, id: string) => Effect.map(client.entity(id), (entity) => entity.get("image"))

/** Waits until a client has the link to its item's picture, and returns the link. */
const untilLinked = Effect.fnUntraced(function* (client: VerdantClient, id: string) {
  const image = yield* imageOf(client, id)
  yield* until(
    `${client.user} knows where the file is`,
    () => typeof image.url === "string",
    () => image.getSnapshot()
  )
  return image.url as string
})

const read = (url: string) => Effect.promise(async () => (await fetch(url)).text())

const upload = (library: Library, token: string, fileId: string, file: File) =>
  Effect.promise(async () => {
    const body = new FormData()
    body.append("file", file)
    const headers = { Authorization: `Bearer ${token}` }
    const response = await fetch(`${library.endpoint}/files/${fileId}`, { method: "POST", body, headers })
    return { status: response.status, body: (await response.json().catch(() => undefined)) as unknown }
  })

const information = (library: Library, token: string, fileId: string) =>
  Effect.promise(async () => {
    const headers = { Authorization: `Bearer ${token}` }
    const response = await fetch(`${library.endpoint}/files/${fileId}`, { headers })
    return { status: response.status, body: (await response.json()) as Record<string, string> }
  })

/** Stores a document that refers to the file f1. */
const nameFile = (library: Library, token: string, oid: string, authz?: unknown) => {
  const replica = makeReplica()
  const operation = replica.operation(oid, initialize({ image: fileRef("f1") }), authz)
  return post(library, token, [replica.sync({ resyncAll: true }), replica.op(operation)])
}

/** Compacts as early as possible, and looks for orphaned files when a library is opened. */
const verdant = { cursorInterval: "100 millis", foldAfter: 1 } as const

/** Opens the library on another server, and waits until it marks exactly these files as orphaned. */
const untilSwept = Effect.fnUntraced(function* (
  database: string,
  id: string,
  orphaned: Readonly<Record<string, boolean | undefined>>,
  options: ServerOnDatabaseOptions = { verdant }
) {
  const library = libraryOn(yield* startServer({ ...options, database }), id)
  yield* post(library, yield* library.token({ userId: "opener" }), [makeReplica().sync({ resyncAll: true })])
  const found = Effect.map(libraryInfo(database, library), (info) =>
    Object.fromEntries((info?.files ?? []).map(({ id, orphaned }) => [id, orphaned]))
  )
  let last: unknown
  const isSo = Effect.map(found, (files) => {
    last = files
    return Object.entries(orphaned).every(([fileId, is]) => files[fileId] === is)
  })
  yield* until("orphaned files are marked", isSo, () => last)
}, Effect.scoped)

const untilCompacted = (database: string, library: Library, operations: number) =>
  until(
    "it is compacted",
    Effect.map(libraryInfo(database, library), (info) => info !== undefined && info.operations <= operations)
  )

describe.each(["realtime", "pull"] as const)("files (%s)", (transport) => {
  it.live("a peer sees a file's link and alternative text, and its owner sees both after a restart", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ image: picture() })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      yield* b.until("it has the item", (items) => items.length === 1)
      assert.strictEqual(yield* read(yield* untilLinked(b, id)), "the picture")
      const [ofA, ofB] = [yield* imageOf(a, id), yield* imageOf(b, id)]
      assert.deepStrictEqual([ofB.name, ofB.type, ofB.id], ["picture.txt", "text/plain", ofA.id])
      ofA.setAlt("what is to be seen")
      yield* until("the peer has the text", () => ofB.alt === "what is to be seen")
      yield* untilSame([a])
      yield* a.close
      const again = yield* openClient({ library, user: "a", transport, device: a.device })
      yield* untilLinked(again, id)
      assert.strictEqual((yield* imageOf(again, id)).alt, "what is to be seen")
    })
  )

  it.live("a cloned document's file outlives the original, and a peer can clone it again", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const original = yield* a.put({ content: "the original", image: picture() })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      const entity = yield* a.entity(original)
      const cloned = yield* Effect.promise(() => a.store["item"]!.clone(entity))
      const clone: string = cloned.get("id")
      yield* until("the clone's file is uploaded", () => a.network.uploads() === 2)
      yield* b.until("it has both", (items) => items.length === 2)
      yield* a.remove(original)
      yield* b.until("the original is gone", (items) => items.length === 1)
      assert.strictEqual(yield* read(yield* untilLinked(b, clone)), "the picture")

      const ofB = yield* b.entity(clone)
      const again = yield* Effect.promise(() => b.store["item"]!.clone(ofB))
      const id: string = again.get("id")
      yield* a.until("it has the peer's clone", (items) => items.some((item) => item.id === id))
      // The peer had only the link, and uploads the bytes for its clone.
      yield* until("the peer's file is uploaded", () => b.network.uploads() === 1)
      yield* untilSame([a, b])
    })
  )
})

describe("files in the server's state", () => {
  it.live("the server's document snapshot equals the client's, with the file's name, type and size", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({
        content: "text",
        tags: ["x"],
        comments: [{ author: "a", text: "y" }],
        image: picture()
      })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      yield* untilSame([a])
      const image = yield* imageOf(a, id)
      const [item] = yield* a.documents()
      const snapshot = yield* documentSnapshot(server.database, library, "item", id)
      assert.deepStrictEqual(
        { ...snapshot },
        { ...item, image: { id: image.id, name: "picture.txt", type: "text/plain", size: "the picture".length } }
      )
      assert.isUndefined(yield* documentSnapshot(server.database, library, "item", "no such"))
    })
  )

  it.live("a file whose alternative text changes stays referenced", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant })
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ image: picture() })
      const other = yield* a.put({ image: picture("another") })
      yield* until("both are uploaded", () => a.network.uploads() === 2)
      const [image, removed] = [yield* imageOf(a, id), yield* imageOf(a, other)]
      for (const text of ["first", "second"]) {
        image.setAlt(text)
        yield* until("it is sent", () => JSON.stringify(a.network.sent).includes(`"${text}"`))
      }
      yield* a.edit(other, (item) => item.set("image", null))
      for (const value of [true, false, true]) {
        yield* a.edit(id, (item) => item.set("done", value))
        yield* untilSame([a])
      }
      // The three last changes may stay: a library is compacted once half as many operations as baselines are not.
      yield* untilCompacted(server.database, library, 3)
      yield* untilSwept(server.database, library.id, { [image.id]: false, [removed.id]: true })
    })
  )

  it.live("every file that one list deletion removes becomes an orphan", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant })
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "a" })
      const replica = makeReplica()
      const names = ["one", "two", "three"]
      for (const name of names) assert.strictEqual((yield* upload(library, token, name, picture(name))).status, 200)
      const operations = [
        replica.operation("album/x:list", initialize(names.map((name) => fileRef(name)))),
        replica.operation("album/x", initialize({ id: "x", files: ref("album/x:list") })),
        replica.operation("album/x:list", { op: "list-delete", index: 0, count: 2 })
      ]
      const begun = yield* post(library, token, [replica.sync({ operations })])
      let since = syncResponse(begun)?.["ackedTimestamp"]
      yield* until(
        "it is compacted",
        Effect.gen(function* () {
          const { messages } = yield* post(library, token, [replica.sync({ since })])
          since = syncResponse({ messages })?.["ackedTimestamp"]
          return ((yield* libraryInfo(server.database, library))?.operations ?? 9) === 0
        })
      )
      yield* untilSwept(server.database, library.id, { one: true, two: true, three: false })
    })
  )
})

describe("a file that no document refers to", () => {
  it.live(
    "is deleted after the time for which files are kept, unless a document refers to it, and stays its uploader's",
    () =>
      Effect.gen(function* () {
        const store = yield* Effect.provide(BlobStore, layerMemory)
        const blobs = Layer.succeed(BlobStore, store)
        const server = yield* startServer({ blobs, verdant })
        const library = libraryOn(server)
        const token = yield* library.token({ userId: "a" })
        for (const name of ["old", "again"]) yield* upload(library, token, name, picture(name))
        yield* untilSwept(server.database, library.id, { old: true, again: true }, { blobs, verdant })
        yield* untilSwept(server.database, library.id, { old: true, again: true }, { blobs, verdant })
        const replica = makeReplica()
        const refers = replica.operation("item/x", initialize({ image: fileRef("again") }))
        yield* post(library, token, [replica.sync({ operations: [refers] })])
        const keepingNone = { blobs, verdant: { ...verdant, keepFiles: 0 } }
        yield* untilSwept(server.database, library.id, { old: undefined, again: false }, keepingNone)
        yield* until(
          "it is gone",
          Effect.map(information(library, token, "old"), ({ status }) => status === 404)
        )
        const blobsLeft = Effect.orDie(Stream.runCount(store.list))
        yield* until(
          "its bytes are gone",
          Effect.map(blobsLeft, (count) => count === 1)
        )
        const { body } = yield* information(library, token, "again")
        assert.strictEqual(yield* read(body["url"] ?? ""), "again")
        const another = yield* library.token({ userId: "another" })
        assert.strictEqual((yield* upload(library, another, "old", picture("not mine"))).status, 403)
        assert.strictEqual((yield* upload(library, token, "old", picture("mine"))).status, 200)
      })
  )
})

describe("a file of one user", () => {
  const setUp = Effect.gen(function* () {
    const library = libraryOn(yield* startServer())
    const [owner, another] = [yield* library.token({ userId: "owner" }), yield* library.token({ userId: "another" })]
    const name = (oid: string, authz?: unknown) => nameFile(library, owner, oid, authz)
    const statusesOf = (token: string) =>
      Effect.gen(function* () {
        const headers = { Authorization: `Bearer ${token}` }
        const content = yield* Effect.promise(() => fetch(`${library.endpoint}/files/f1/content`, { headers }))
        return [(yield* information(library, token, "f1")).status, content.status]
      })
    return { library, owner, another, name, statusesOf }
  })

  it.live("is not replaced by another user, and its uploader may upload it again", () =>
    Effect.gen(function* () {
      const { another, library, owner } = yield* setUp
      assert.strictEqual((yield* upload(library, owner, "f1", picture("first"))).status, 200)
      const refused = yield* upload(library, another, "f1", picture("not mine"))
      assert.deepStrictEqual(refused, { status: 403, body: { code: 4030 } })
      assert.strictEqual(yield* read((yield* information(library, owner, "f1")).body["url"]!), "first")
      assert.strictEqual((yield* upload(library, owner, "f1", picture("second"))).status, 200)
      assert.strictEqual(yield* read((yield* information(library, owner, "f1")).body["url"]!), "second")
    })
  )

  it.live(
    "is found by other users once a document that they see refers to it, and its links open it for everybody",
    () =>
      Effect.gen(function* () {
        const { another, library, name, owner, statusesOf } = yield* setUp
        yield* upload(library, owner, "f1", picture())
        const { url } = (yield* information(library, owner, "f1")).body
        assert.deepStrictEqual(yield* statusesOf(another), [404, 404])
        yield* name("item/private", onlyUser("owner"))
        assert.deepStrictEqual(yield* statusesOf(another), [404, 404])
        assert.deepStrictEqual(yield* statusesOf(owner), [200, 200])
        assert.strictEqual(yield* read(url!), "the picture")
        yield* name("item/public")
        assert.deepStrictEqual(yield* statusesOf(another), [200, 200])
      })
  )
})

describe("uploads by raw requests", () => {
  it.live("an upload whose name or id is a path stays inside the file store", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const token = yield* library.token({ userId: "a" })
      for (const name of ["../../../outside", "/etc/passwd", "..\\..\\x", "..", "a\u202eb", "x".repeat(500)]) {
        const file = new File(["content"], name, { type: "text/plain" })
        const { status, body } = yield* upload(library, token, "f1", file)
        assert.deepStrictEqual({ name, status, body }, { name, status: 200, body: { success: true } })
        const found = yield* information(library, token, "f1")
        assert.strictEqual(found.status, 200)
        assert.notMatch(found.body["name"] ?? "", /[/\\\0]|^\.*$/)
        assert.strictEqual(yield* read(found.body["url"]!), "content")
      }
      for (const fileId of ["..", "..%2F..%2Foutside", "%2e%2e", "a%00b", "x".repeat(5000)]) {
        const { status } = yield* upload(library, token, fileId, picture())
        assert.isTrue(status >= 400 && status < 500, `${status} for ${fileId.slice(0, 20)}`)
      }
    })
  )

  it.live("a file is readable only with a token of its library, and writable only if the token allows writes", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const [library, another] = [libraryOn(server), libraryOn(server)]
      const token = yield* library.token({ userId: "a" })
      yield* upload(library, token, "f1", picture())
      yield* nameFile(library, token, "item/x")
      const missing = yield* information(another, yield* another.token({ userId: "a" }), "f1")
      assert.deepStrictEqual(missing, { status: 404, body: { code: 4040 } as never })
      assert.strictEqual((yield* information(library, "nonsense", "f1")).status, 401)
      const reader = yield* library.token({ userId: "reader", type: "read-only" })
      assert.strictEqual((yield* information(library, reader, "f1")).status, 200)
      assert.strictEqual((yield* upload(library, reader, "f1", picture("overwritten"))).status, 403)
    })
  )
})

describe("a library that has reached its quota of files", () => {
  const stored = (library: Library, token: string, ids: ReadonlyArray<string>) =>
    Effect.filter(ids, (id) => Effect.map(information(library, token, id), ({ status }) => status === 200))
  const full = { status: 413, body: { code: 4131 } }

  it.live("refuses another one, and lets a file be replaced", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ quota: { files: 2 } })
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "ada" })
      for (const id of ["one", "two", "one"]) {
        assert.strictEqual((yield* upload(library, token, id, picture())).status, 200)
      }
      assert.deepStrictEqual(yield* upload(library, token, "three", picture()), full)
      assert.deepStrictEqual(yield* stored(library, token, ["one", "two", "three"]), ["one", "two"])
    })
  )

  it.live("refuses one that has too many bytes with the others, also of several at a time", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ quota: { fileBytes: 100 } })
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "ada" })
      assert.deepStrictEqual(yield* upload(library, token, "large", picture("x".repeat(101))), full)
      const some = ["a", "b", "c"].map((id) => upload(library, token, id, picture("x".repeat(40))))
      const answers = yield* Effect.all(some, { concurrency: "unbounded" })
      assert.deepStrictEqual(answers.map(({ status }) => status).toSorted(), [200, 200, 413])
      assert.lengthOf(yield* stored(library, token, ["a", "b", "c", "large"]), 2)
    })
  )
})
