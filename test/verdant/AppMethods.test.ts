/** The methods of `createSealog` for Verdant libraries, as an app that moves from Verdant's own server uses them. */
import { Readable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { replay, Signatures } from "@sealog/server/admin"
import { LibraryId } from "@sealog/server/domain/Ids"
import { fileDirectory, type LibraryChange, type SealogOptions } from "@sealog/server/node"
import { postgresStorage } from "@sealog/storage-pg"
import { sqliteStorage } from "@sealog/storage-sqlite"
import { Effect, Layer } from "effect"
import { type Mounted, startMounted } from "../support/servers/MountedServer.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import type { Library } from "../support/verdant/Library.ts"
import { freshDirectory } from "../support/verdant/shards.ts"
import { hasRestored, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

/** The storage at such a URL, as an app opens it. */
const storageOf = (url: string) =>
  url.startsWith("sqlite:") ? sqliteStorage({ filename: url.slice("sqlite:".length) }) : postgresStorage({ url })

const start = (options: Partial<SealogOptions> = {}) =>
  Effect.gen(function* () {
    const files = { store: fileDirectory(yield* freshDirectory) }
    return yield* startMounted({ storage: storageOf(yield* freshStorage), files, ...options })
  })

/** A library whose tokens the app mints. */
const libraryOf = ({ sealog, url }: Mounted, role?: string): Library => {
  const id = LibraryId.make(randomName())
  const endpoint = `${url}/verdant`
  return {
    ...{ id, endpoint },
    token: ({ userId }) =>
      Effect.promise(() => sealog.mint({ libraryId: id, userId, endpoint, ...(role === undefined ? {} : { role }) }))
  }
}

const rejection = (call: () => Promise<unknown>) =>
  Effect.promise(() =>
    call().then(
      () => assert.fail("It did not reject"),
      ({ message, name }: Error) => ({ message, name })
    )
  )

describe("an app that moves from Verdant's own server", () => {
  it.live("sees a library's replicas and counts right after a write, and nothing of a library that has none", () =>
    Effect.gen(function* () {
      const mounted = yield* start()
      const library = libraryOf(mounted)
      const a = yield* openClient({ library, user: "a" })
      yield* a.put({ content: "text" })
      yield* untilSame([a])
      const info = yield* Effect.promise(() => mounted.sealog.info(library.id))
      const operations = a.network.sent.flatMap((message) => (message["operations"] ?? []) as ReadonlyArray<unknown>)
      assert.strictEqual((info?.operations ?? 0) + (info?.baselines ?? 0) >= operations.length, true)
      assert.lengthOf(info?.replicas ?? [], 1)
      const [replica] = info?.replicas ?? []
      assert.deepInclude(replica, { id: yield* a.replicaId, userId: "a", type: 0, truant: false })
      assert.isUndefined(yield* Effect.promise(() => mounted.sealog.info(randomName())))
    })
  )

  it.live("shows users to each other with the profiles that it gives, and is asked once for each", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const get = async (userId: string) => {
        asked.push(userId)
        return { id: userId, name: `${userId} of the app` }
      }
      const library = libraryOf(yield* start({ profiles: { get } }))
      const [a, b] = yield* openClients(["a", "b"], { library })
      for (const [one, other] of [
        [a, b],
        [b, a]
      ] as const) {
        other.store.sync.presence.update({ mood: "happy" })
        const seen = () => one.store.sync.presence.peers[other.user]
        yield* until("it sees the other", () => seen()?.presence?.mood === "happy", seen)
        assert.deepStrictEqual(seen()?.profile, { id: other.user, name: `${other.user} of the app` })
      }
      assert.deepStrictEqual(asked.toSorted(), ["a", "b"])
    })
  )

  it.live.each([
    ["throws", () => assert.fail("a bug of the app")],
    ["fails", () => Promise.reject(new Error("away"))],
    ["never answers", () => new Promise(() => {})],
    ["is no JSON", () => ({ id: "b", since: 1n })]
  ] as const)("shows a user by the id alone whose profile %s, and nobody is held up", ([, trouble]) =>
    Effect.gen(function* () {
      const get = (userId: string) => (userId === "b" ? trouble() : { id: userId, name: "known" })
      const library = libraryOf(yield* start({ profiles: { get } }))
      const [a, b] = yield* openClients(["a", "b"], { library })
      yield* b.put({ content: "of b" })
      yield* a.until("it has the item", (items) => items.length === 1)
      const c = yield* openClient({ library, user: "c" })
      for (const client of [a, c]) {
        const seen = () => client.store.sync.presence.peers["b"]
        yield* until("it sees b", () => seen() !== undefined, seen)
        assert.deepStrictEqual(seen()?.profile, { id: "b" })
      }
      yield* c.put({ content: "of c" })
      yield* untilSame([a, b, c])
    })
  )

  it.live("marks a replica as truant, which is reset when it comes back after it missed something", () =>
    Effect.gen(function* () {
      const mounted = yield* start()
      const { sealog } = mounted
      const library = libraryOf(mounted)
      const [a, b] = yield* openClients(["a", "b"], { library })
      const id = yield* a.put({ content: "text" })
      yield* untilSame([a, b])
      yield* b.goOffline
      yield* b.put({ content: "lost, because b is reset" })
      yield* a.edit(id, (item) => item.get("tags").push("missed by b"))
      yield* untilSame([a])
      const replicaId = yield* b.replicaId
      assert.isTrue(yield* Effect.promise(() => sealog.forceTruant(library.id, replicaId)))
      const info = yield* Effect.promise(() => sealog.info(library.id))
      assert.strictEqual(info?.replicas.find(({ id }) => id === replicaId)?.truant, true)
      assert.isFalse(yield* Effect.promise(() => sealog.forceTruant(library.id, replicaId)))
      assert.isFalse(yield* Effect.promise(() => sealog.forceTruant(library.id, "unknown")))
      const resets = b.resets()
      yield* b.goOnline
      yield* until("it is reset", () => b.resets() === resets + 1)
      assert.lengthOf(yield* untilSame([a, b]), 1)
    })
  )

  it.live("stores a file, sees its information, and a document with it in exactly Verdant's shape", () =>
    Effect.gen(function* () {
      const mounted = yield* start()
      const { sealog } = mounted
      const library = libraryOf(mounted)
      const bytes = new TextEncoder().encode("the picture")
      const file = { id: "f1", name: "../picture.txt", type: "Text/Plain; charset=utf-8" }
      const stored = yield* Effect.promise(() => sealog.uploadFile(library.id, file, Readable.from([bytes])))
      assert.deepStrictEqual(yield* Effect.promise(() => sealog.fileInfo(library.id, "f1")), stored)
      const { url, ...info } = stored
      const plain = { id: "f1", name: "picture.txt", type: "text/plain" }
      assert.deepStrictEqual(info, { ...plain, libraryId: library.id, size: bytes.length })
      const content = yield* Effect.promise(async () => (await fetch(new URL(url ?? "", mounted.url))).text())
      assert.strictEqual(content, "the picture")
      for (const body of [bytes, new Blob([bytes]), new Blob([bytes]).stream()]) {
        const again = yield* Effect.promise(() => sealog.uploadFile(library.id, file, body as Uint8Array))
        assert.strictEqual(again.size, bytes.length)
      }
      assert.isUndefined(yield* Effect.promise(() => sealog.fileInfo(library.id, "f2")))
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ content: "text", image: new File(["mine"], "mine.txt", { type: "text/plain" }) })
      yield* until("it is uploaded", () => a.network.uploads() === 1)
      yield* untilSame([a])
      const document = yield* Effect.promise(() => sealog.documentSnapshot(library.id, "item", id))
      const { image } = document as { readonly image: Readonly<Record<string, unknown>> }
      assert.deepStrictEqual(Object.keys(image).toSorted(), ["id", "name", "type", "url"])
      assert.strictEqual(image["name"], "mine.txt")
      assert.isUndefined(yield* Effect.promise(() => sealog.documentSnapshot(library.id, "item", "none")))
    })
  )

  it.live("changes a document, which its clients see, and hears why a change is refused", () =>
    Effect.gen(function* () {
      const mounted = yield* start({ quota: { objects: 5 } })
      const { sealog } = mounted
      const library = libraryOf(mounted)
      const early = () => sealog.update(library.id, "item", "x", { set: { id: "x" } })
      assert.strictEqual((yield* rejection(early)).name, "WriteRefused")
      const a = yield* openClient({ library, user: "a" })
      const id = yield* a.put({ content: "text" })
      yield* untilSame([a])
      const change = { set: { content: "of the app", tags: ["new"], image: { "@@type": "file", id: "f1" } } }
      assert.isTrue(yield* Effect.promise(() => sealog.update(library.id, "item", id, change)))
      assert.isFalse(yield* Effect.promise(() => sealog.update(library.id, "item", id, change)))
      yield* a.until("it is changed", ([item]) => item?.content === "of the app" && item.tags[0] === "new")
      const full = () => sealog.update(library.id, "item", "y", { set: { id: "y", tags: [], comments: [] } })
      assert.match((yield* rejection(full)).message, /no room.*quota/)
      const malformed = () => sealog.update(library.id, "item", id, { set: { at: new Date() } })
      assert.deepStrictEqual(yield* rejection(malformed), {
        name: "TypeError",
        message: "The change is malformed: `set.at` is no JSON"
      })
      assert.isTrue(yield* Effect.promise(() => sealog.update(library.id, "item", id, null)))
      yield* a.until("it is gone", (items) => items.length === 0)
    })
  )

  it.live("refuses a file that is too large, and one of another user", () =>
    Effect.gen(function* () {
      const mounted = yield* start({ files: { store: fileDirectory(yield* freshDirectory), maxBytes: 10 } })
      const { sealog } = mounted
      const upload = (userId: string | undefined, size: number) => () =>
        sealog.uploadFile(
          "notes",
          { id: "f1", name: "x", type: "text/plain", ...(userId === undefined ? {} : { userId }) },
          new Uint8Array(size)
        )
      assert.strictEqual((yield* rejection(upload("ada", 11))).name, "BlobTooLarge")
      yield* Effect.promise(upload("ada", 10))
      assert.strictEqual((yield* rejection(upload("bob", 10))).name, "AnothersFile")
      const without = yield* start({ files: undefined as never })
      const lacking = () => without.sealog.uploadFile("notes", { id: "f1", name: "x", type: "y" }, new Uint8Array(1))
      assert.strictEqual((yield* rejection(lacking)).name, "NoFileStore")
    })
  )

  it.live("gives clients and documents URLs of its own, such as those of a CDN", () =>
    Effect.gen(function* () {
      const keys: Array<string> = []
      const getUrl = async (file: { readonly libraryId: string; readonly id: string; readonly key: string }) => {
        keys.push(file.key)
        return `https://cdn.example.org/${file.libraryId}/${file.id}`
      }
      const mounted = yield* start({ files: { store: fileDirectory(yield* freshDirectory), getUrl } })
      const library = libraryOf(mounted)
      const [a, b] = yield* openClients(["a", "b"], { library })
      const id = yield* a.put({ image: new File(["the picture"], "picture.txt", { type: "text/plain" }) })
      yield* b.until("it has the item", (items) => items.length === 1)
      const file = (yield* b.entity(id)).get("image")
      const url = `https://cdn.example.org/${library.id}/${file.id}`
      yield* until("b has the link", () => file.url === url)
      const document = yield* Effect.promise(() => mounted.sealog.documentSnapshot(library.id, "item", id))
      assert.strictEqual((document as { readonly image: { readonly url: string } }).image.url, url)
      assert.isTrue(keys.every((key) => key.includes(`/${file.id}.`)))
    })
  )

  it.live("evicts a library: its sockets are told, its files are gone, and a client restores it", () =>
    Effect.gen(function* () {
      const mounted = yield* start()
      const { sealog } = mounted
      const library = libraryOf(mounted)
      yield* Effect.promise(() =>
        sealog.uploadFile(library.id, { id: "f1", name: "x", type: "text/plain" }, new Uint8Array(3))
      )
      const a = yield* openClient({ library, user: "a" })
      yield* a.put({ content: "text" })
      yield* untilSame([a])
      assert.isTrue(yield* Effect.promise(() => sealog.evict(library.id)))
      assert.isUndefined(yield* Effect.promise(() => sealog.fileInfo(library.id, "f1")))
      yield* until("a restored it", () => hasRestored(a))
      const b = yield* openClient({ library, user: "b" })
      yield* b.until("it has the item", (items) => items.length === 1)
      assert.isFalse(yield* Effect.promise(() => sealog.evict(randomName())))
    })
  )

  it.live("receives changes with the role of their user's token, resumes after a version, and stops", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const mounted = yield* start({ storage: storageOf(database) })
      const { sealog } = mounted
      const library = libraryOf(mounted, "editor")
      const a = yield* openClient({ library, user: "a" })
      yield* a.put({ content: "one" })
      yield* untilSame([a])
      const take = (after: number) =>
        Effect.promise(async () => {
          for await (const change of sealog.changes(library.id, { after })) return change
          return undefined
        })
      const first = yield* take(0)
      assert.deepInclude(first as LibraryChange, {
        _tag: "Changed",
        userId: "a",
        role: "editor",
        libraryId: library.id
      })
      yield* a.put({ content: "two" })
      const second = yield* take(first?.version ?? 0)
      assert.isAbove(second?.version ?? 0, first?.version ?? 0)
      const told: Array<LibraryChange> = []
      const abort = new AbortController()
      const ends: Array<string> = []
      const listen = async (name: string, changes: AsyncIterable<LibraryChange>) => {
        for await (const change of changes) told.push(change)
        ends.push(name)
      }
      void listen("aborted", sealog.allChanges({ after: new Map(), signal: abort.signal }))
      void listen("closed", sealog.changes(library.id))
      yield* until("the first listener has both", () => told.length >= 2)
      abort.abort()
      yield* until("it stops", () => ends.includes("aborted"))
      yield* a.goOffline
      yield* Effect.promise(() => sealog.close())
      yield* until("the other stops at close", () => ends.includes("closed"))
      // The role is in the events, so the decision is the same again.
      const { problems } = yield* Effect.provide(replay(), Layer.merge(layerOf(database), Signatures.layer))
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("keeps all operations when compaction is off (disableRebasing)", () =>
    Effect.gen(function* () {
      const options = { cursorInterval: "100 millis", foldAfter: 1 } as const
      const compacting = yield* start({ verdant: options })
      const keeping = yield* start({ verdant: { ...options, foldAfter: Number.POSITIVE_INFINITY } })
      const infos = yield* Effect.forEach([compacting, keeping], (mounted) =>
        Effect.gen(function* () {
          const library = libraryOf(mounted)
          const a = yield* openClient({ library, user: "a" })
          const id = yield* a.put({ content: "text" })
          for (const round of [1, 2, 3]) {
            yield* a.edit(id, (item) => item.set("content", `round ${round}`))
            yield* untilSame([a])
          }
          return { a, library, mounted }
        })
      )
      const [first, second] = infos
      const baselinesOf = ({ library, mounted }: (typeof infos)[number]) =>
        Effect.map(
          Effect.promise(() => mounted.sealog.info(library.id)),
          (info) => info?.baselines ?? 0
        )
      yield* until(
        "the other is compacted",
        Effect.gen(function* () {
          yield* first!.a.put({ content: "more" })
          return (yield* baselinesOf(first!)) > 0
        })
      )
      assert.strictEqual(yield* baselinesOf(second!), 0)
    })
  )

  it.live("rejects ids that are malformed with a sentence, before it does anything", () =>
    Effect.gen(function* () {
      const { sealog } = yield* start()
      assert.match((yield* rejection(() => sealog.info("a b"))).message, /"a b" is not the id of a library/)
      assert.match((yield* rejection(() => sealog.fileInfo("notes", "a/b"))).message, /"a\/b" is not the id of a file/)
      const minted = () => sealog.mint({ userId: "a", libraryId: "notes", signingKeys: ["short"] })
      assert.match((yield* rejection(minted)).message, /"short" is not a public key/)
      const withRole = () => sealog.mint({ userId: "a", libraryId: "notes", role: "x".repeat(201) })
      assert.match((yield* rejection(withRole)).message, /is not a role: text of at most 200 characters/)
    })
  )

  it.live("mints tokens with the claims role and file, which it can verify", () =>
    Effect.gen(function* () {
      const { sealog } = yield* start()
      const token = yield* Effect.promise(() =>
        sealog.mint({
          ...{
            userId: "a",
            libraryId: "notes",
            role: "viewer",
            type: "read-only" as const,
            expiresIn: "1 hour" as const
          },
          ...{ endpoint: "https://app/verdant", fileEndpoint: "https://files/verdant/files" }
        })
      )
      const claims = JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString())
      assert.deepInclude(claims, {
        sub: "a",
        lib: "notes",
        role: "viewer",
        type: 5,
        file: "https://files/verdant/files"
      })
      assert.strictEqual(claims.exp - Math.floor(claims.iat), 3600)
      const grant = yield* Effect.promise(() => sealog.verify(token))
      assert.deepInclude(grant as object, { userId: "a", libraryId: "notes", readOnly: true, role: "viewer" })
      assert.strictEqual((yield* rejection(() => sealog.verify(`${token}x`))).name, "TokenRefused")
    })
  )
})
