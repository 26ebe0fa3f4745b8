/** Clients of a Verdant server continue on this server after their library was imported. */
import { assert, describe, it } from "@effect/vitest"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import { importVerdant } from "@sealog/server/admin/ImportVerdant"
import { replay } from "@sealog/server/admin/Replay"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { authorization } from "@verdant-web/store"
import { Effect, Layer } from "effect"
import { databasesIn } from "../../packages/cli/src/backends/verdantDatabases.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { forceTruant, libraryInfo } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { freshDirectory, type Shard, shardOf, writeFileOf, writeShard } from "../support/verdant/shards.ts"
import { contents, openClient, openClients, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

/** The server compacts as early as possible. */
const verdant = { cursorInterval: "100 millis", foldAfter: 1 } as const

/** Imports a Verdant database into a fresh log, verifies the log, and starts a server on it. */
const startImported = Effect.fnUntraced(function* (
  { id }: Library,
  shard: Shard,
  contents: ReadonlyMap<string, string> = new Map()
) {
  const [directory, from, to] = [yield* freshDirectory, yield* freshDirectory, yield* freshDirectory]
  writeShard(directory, id, shard)
  for (const file of shard.files ?? []) writeFileOf(from, id, file, contents.get(file.name)!)
  const blobs = Layer.orDie(layerFileSystem({ directory: to }))
  const database = yield* freshStorage
  const on = <A, E>(effect: Effect.Effect<A, E, Effect.Services<ReturnType<typeof importVerdant>>>) =>
    Effect.orDie(Effect.provide(effect, [layerOf(database), blobs]))
  const [imported] = yield* on(importVerdant(databasesIn(directory, from)))
  assert.deepInclude(imported, { libraryId: id, outcome: "imported", malformed: 0, detail: null })
  const server = yield* startServer({ database, verdant, blobs })
  const isInOrder = Effect.map(on(Effect.provide(replay(), Signatures.layerInline)), ({ problems }) =>
    assert.deepStrictEqual(problems, [])
  )
  yield* isInOrder
  return { imported: imported!, library: libraryOn(server, id), server, isInOrder }
})

/** The baseline of a document's root, as it is stored. */
const baselineOf = (database: string, library: Library, id: string) =>
  Effect.map(shardOf(database, library), ({ baselines }) =>
    JSON.stringify(baselines.find(({ oid }) => oid === `item/${id}`) ?? null)
  )

/** Waits until the log records that these clients have received everything. */
const untilReceived = (database: string, library: Library, clients: ReadonlyArray<VerdantClient>) =>
  until(
    "the log records what they have received",
    Effect.gen(function* () {
      const ids = yield* Effect.forEach(clients, ({ replicaId }) => replicaId)
      const info = yield* libraryInfo(database, library)
      const written = info?.replicas.filter(({ id }) => ids.includes(id)) ?? []
      return written.length === ids.length && written.every(({ received }) => (received ?? 0) >= info!.version - 1)
    }),
    () => ({})
  )

describe.each(["realtime", "pull"] as const)("an imported library (%s)", (transport) => {
  it.live(
    "existing clients continue without a reset, their offline changes arrive, and a new client receives everything",
    () =>
      Effect.gen(function* () {
        const old = yield* startServer({ verdant: { cursorInterval: "100 millis" } })
        const before = libraryOn(old)
        const [a, b, c] = yield* openClients(["a", "b", "c"], { library: before, transport })
        const id = yield* a.put({ content: "shared", tags: ["one"] })
        yield* a.put({ content: "of a alone" }, { access: authorization.private })
        yield* b.until("it has the item", (items) => items.length === 1)
        yield* untilSame([b, c])
        yield* untilReceived(old.database, before, [b, c])
        // b misses the following changes, c receives them.
        yield* b.goOffline
        yield* a.put({ content: "missed by b" })
        yield* a.edit(id, (item) => item.get("tags").push("two"))
        yield* c.until("it has both", (items) => items.length === 2)
        yield* untilSame([c])
        yield* untilReceived(old.database, before, [c])
        for (const client of [a, c]) yield* client.goOffline
        // Each client now writes something that only it has.
        yield* a.put({ content: "of a, offline" })
        yield* b.edit(id, (item) => item.get("tags").push("of b, offline"))
        yield* b.put({ content: "of b, offline" })
        yield* c.put({ content: "of c, offline" })
        for (const client of [a, b, c]) yield* client.close

        const { imported, isInOrder, library, server } = yield* startImported(
          before,
          yield* shardOf(old.database, before)
        )
        assert.deepInclude(imported, { replicas: 3, lapsed: 0 })
        const reopen = ({ device, user }: VerdantClient) => openClient({ library, user, device, transport })
        const again = yield* Effect.forEach([b, a, c], reopen)
        const [b2, a2, c2] = again as [VerdantClient, VerdantClient, VerdantClient]
        const all = ["missed by b", "of a, offline", "of b, offline", "of c, offline", "shared"]
        const late = yield* openClient({ library, user: "late", transport })
        for (const client of [b2, c2, late]) yield* client.until("it has everything", (items) => items.length === 5)
        const items = yield* untilSame([b2, c2, late])
        assert.deepStrictEqual(contents(items), all)
        assert.sameMembers([...(items.find((item) => item.id === id)?.tags ?? [])], ["one", "two", "of b, offline"])
        yield* a2.until("it has its private item as well", (found) => found.length === 6)
        assert.deepStrictEqual(contents(yield* untilSame([a2])), [...all, "of a alone"].toSorted())
        const late2 = yield* openClient({ library, user: "a", transport })
        yield* late2.until("it has its user's private item", (found) => found.length === 6)
        for (const client of again) assert.deepStrictEqual([client.resets(), client.restores()], [0, 0], client.user)

        yield* a2.put({ content: "afterwards" })
        for (const client of [b2, late]) yield* client.until("it goes on", (found) => found.length === 6)
        yield* until(
          "imported operations are compacted",
          Effect.map(libraryInfo(server.database, library), (info) => (info?.baselines ?? 0) > 0)
        )
        yield* untilSame([b2, c2, late])
        yield* isInOrder
      })
  )

  it.live("a new client reads imported files by their links, and no client uploads them again", () =>
    Effect.gen(function* () {
      const old = yield* startServer()
      const before = libraryOn(old)
      const a = yield* openClient({ library: before, user: "a", transport })
      const texts = new Map([
        ["first.txt", "the first"],
        ["größer.txt", "the second"]
      ])
      const ids: Array<string> = []
      for (const [name, text] of texts) {
        ids.push(yield* a.put({ content: name, image: new File([text], name, { type: "text/plain" }) }))
      }
      yield* until("both are uploaded", () => a.network.uploads() === 2)
      yield* untilSame([a])
      yield* a.close

      const shard = yield* shardOf(old.database, before)
      const { imported, isInOrder, library, server } = yield* startImported(before, shard, texts)
      assert.deepInclude(imported, { files: 2, filesLeftOut: 0 })
      const again = yield* openClient({ library, user: "a", device: a.device, transport })
      const late = yield* openClient({ library, user: "late", transport })
      yield* late.until("it has both", (items) => items.length === 2)
      for (const [i, [name, text]] of Array.from(texts).entries()) {
        const image = (yield* late.entity(ids[i]!)).get("image")
        yield* until(
          "it knows where the file is",
          () => typeof image.url === "string",
          () => image.getSnapshot()
        )
        assert.deepStrictEqual([image.name, image.type], [name, "text/plain"])
        assert.isTrue((image.url as string).startsWith(library.endpoint))
        assert.strictEqual(yield* Effect.promise(async () => (await fetch(image.url as string)).text()), text)
      }
      const info = yield* libraryInfo(server.database, library)
      assert.deepStrictEqual(
        info?.files.map(({ orphaned }) => orphaned),
        [false, false]
      )
      yield* untilSame([again, late])
      assert.strictEqual(again.network.uploads(), 0)
      yield* isInOrder
    })
  )

  it.live("only replicas that lack compacted operations are reset", () =>
    Effect.gen(function* () {
      const old = yield* startServer({ verdant })
      const before = libraryOn(old)
      const [a, b, c] = yield* openClients(["a", "b", "c"], { library: before, transport })
      const id = yield* a.put({ content: "first" })
      yield* b.until("it has the item", (items) => items.length === 1)
      yield* b.goOffline
      yield* b.put({ content: "of b, away for too long" })
      yield* forceTruant(old.database, before, yield* b.replicaId)
      for (const content of ["second", "third"]) {
        yield* a.edit(id, (item) => item.set("content", content))
        yield* c.until("it has the edit", (items) => items[0]?.content === content)
      }
      yield* until(
        "an operation that b lacks is compacted",
        Effect.map(baselineOf(old.database, before, id), (text) => /second|third/.test(text))
      )
      // A Verdant server never compacts the newest operation. Ours compacts none that a replica lacks.
      yield* c.goOffline
      yield* a.edit(id, (item) => item.set("content", "fourth"))
      yield* untilSame([a])
      for (const client of [a, b, c]) yield* client.close

      const { imported, isInOrder, library } = yield* startImported(before, yield* shardOf(old.database, before))
      assert.deepInclude(imported, { replicas: 2, lapsed: 1 })
      const reopen = ({ device, user }: VerdantClient) => openClient({ library, user, device, transport })
      const [b2, a2, c2] = [yield* reopen(b), yield* reopen(a), yield* reopen(c)]
      for (const client of [b2, c2]) yield* client.until("it has the newest", ([item]) => item?.content === "fourth")
      assert.deepStrictEqual(contents(yield* untilSame([a2, b2, c2])), ["fourth"])
      assert.deepStrictEqual([a2.resets(), b2.resets(), c2.resets()], [0, 1, 0])
      yield* b2.put({ content: "afterwards" })
      yield* a2.until("it goes on", (items) => items.length === 2)
      yield* untilSame([a2, b2, c2])
      yield* isInOrder
    })
  )
})
