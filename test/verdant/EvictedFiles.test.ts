/** The files of an evicted library are deleted, and the files that its restore brings are kept. */
import { readdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import { Effect, Layer } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { evict } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { freshDirectory } from "../support/verdant/shards.ts"
import { openClient, untilRestored, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

/** A file store that several servers share. */
const freshFiles = Effect.gen(function* () {
  const directory = yield* freshDirectory
  return {
    blobs: Layer.orDie(layerFileSystem({ directory })),
    stored: () =>
      readdirSync(directory, { recursive: true, encoding: "utf8" })
        .filter((name) => /^[^.].*[/]/.test(name))
        .toSorted()
  }
})
type Files = Effect.Success<typeof freshFiles>

const picture = (text: string) => new File([text], "picture.txt", { type: "text/plain" })

/** Waits until the stored files, besides those to keep, are as many as before and all new. */
const untilReplaced = (files: Files, before: ReadonlyArray<string>, kept: ReadonlyArray<string> = []) =>
  until(
    "new files have replaced the old ones",
    () => {
      const others = files.stored().filter((name) => !kept.includes(name))
      return others.length === before.length && others.every((name) => !before.includes(name))
    },
    () => files.stored()
  )

/** Waits for the device too: it must remember the uploads before an eviction makes it forget them. */
const untilUploaded = (client: VerdantClient, times: number) =>
  until(
    `${client.user} has uploaded ${times} files`,
    Effect.map(client.unsyncedFiles, (unsynced) => unsynced === 0 && client.network.uploads() >= times),
    () => ({
      uploads: client.network.uploads(),
      online: client.isOnline(),
      restores: client.restores(),
      problems: client.problems,
      statuses: client.network.statuses
    })
  )

/**
 * Uploads pictures of a client that was opened offline, and connects it; returns their items' ids. A connected store (5.5)
 * may ask the server for a new file before the device has it, and then overwrites its own copy with the answer.
 */
const uploadAndConnect = Effect.fnUntraced(function* (client: VerdantClient, ...texts: ReadonlyArray<string>) {
  const ids = yield* Effect.forEach(texts, (text) => client.put({ image: picture(text) }))
  yield* untilUploaded(client, texts.length)
  yield* client.goOnline
  yield* untilSame([client])
  return ids
})

/**
 * Reconnects a client that has restored the library: only then does the store upload its files again. The server has
 * answered every request before the client reconnects, because a late one could restore the library after the next eviction.
 *
 * `uploads`: of this client before the eviction.
 */
const comeOnline = Effect.fnUntraced(function* (client: VerdantClient, uploads: number) {
  yield* untilRestored(client)
  yield* until(
    "it marks its files to be uploaded again",
    Effect.map(client.unsyncedFiles, (unsynced) => unsynced > 0 || client.network.uploads() > uploads)
  )
  yield* untilSame([client])
  client.network.cut()
  yield* until("it is offline", () => !client.isOnline() && client.network.underWay() === 0)
  client.network.mend()
})

/** Asserts that a new client receives the item, and reads its picture by its link. */
const assertSeen = Effect.fnUntraced(function* (library: Library, id: string, text: string) {
  const client = yield* openClient({ library, user: "late" })
  yield* client.until("it has the item", (items) => items.some((item) => item.id === id))
  const image = (yield* client.entity(id)).get("image")
  yield* until(
    "it knows where the file is",
    () => typeof image.url === "string",
    () => image.getSnapshot()
  )
  assert.strictEqual(yield* Effect.promise(async () => (await fetch(image.url as string)).text()), text)
})

describe.each(["realtime", "pull"] as const)("files of an evicted library (%s)", (transport) => {
  it.live("the server deletes the files at once while a client is connected", () =>
    Effect.gen(function* () {
      const files = yield* freshFiles
      const server = yield* startServer({ blobs: files.blobs })
      const [library, another] = [libraryOn(server), libraryOn(server)]
      const other = yield* openClient({ library: another, user: "a", transport, offline: true })
      yield* uploadAndConnect(other, "of another library")
      const anothers = files.stored()
      const a = yield* openClient({ library, user: "a", transport, offline: true })
      const [id = ""] = yield* uploadAndConnect(a, "first")
      for (const round of [1, 2]) {
        const restores = a.restores()
        const before = files.stored().filter((name) => !anothers.includes(name))
        assert.strictEqual(before.length, 1)
        yield* evict(server.database, library)
        yield* until("it restores the library", () => a.restores() > restores)
        yield* comeOnline(a, round)
        yield* untilUploaded(a, round + 1)
        yield* untilReplaced(files, before, anothers)
      }
      yield* assertSeen(library, id, "first")
      assert.includeMembers(files.stored(), anothers)
    })
  )

  it.live("the server deletes the files when the first client returns, if none was connected at the eviction", () =>
    Effect.gen(function* () {
      const files = yield* freshFiles
      const database = yield* freshStorage
      const first = yield* Effect.scoped(
        Effect.gen(function* () {
          const library = libraryOn(yield* startServer({ database, blobs: files.blobs }))
          const a = yield* openClient({ library, user: "a", transport, offline: true })
          const [id = ""] = yield* uploadAndConnect(a, "the picture")
          return { id, library, device: a.device }
        })
      )
      const before = files.stored()
      assert.strictEqual(before.length, 1)
      yield* evict(database, first.library)
      assert.deepStrictEqual(files.stored(), before)

      const library = libraryOn(yield* startServer({ database, blobs: files.blobs }), first.library.id)
      const a = yield* openClient({ library, user: "a", transport, device: first.device })
      yield* comeOnline(a, 0)
      yield* untilUploaded(a, 1)
      yield* untilReplaced(files, before)
      yield* assertSeen(library, first.id, "the picture")
    })
  )

  it.live("the files are deleted before the eviction returns, if the evicting process has the file store", () =>
    Effect.gen(function* () {
      const files = yield* freshFiles
      const database = yield* freshStorage
      const visit = Effect.fnUntraced(function* (
        device: VerdantClient["device"] | undefined,
        use: (client: VerdantClient) => Effect.Effect<unknown>
      ) {
        const library = libraryOn(yield* startServer({ database, blobs: files.blobs }), "notes")
        const client = yield* openClient({ library, user: "a", transport, offline: true, ...(device && { device }) })
        yield* use(client)
        return { library, device: client.device }
      }, Effect.scoped)
      const { device, library } = yield* visit(undefined, (a) => uploadAndConnect(a, "one", "two"))
      assert.strictEqual(files.stored().length, 2)
      const [evicted] = yield* evict(database, library, files.blobs)
      assert.deepInclude(evicted, { documentId: "@verdant", files: 2, fileBytes: 6 })
      assert.deepStrictEqual(files.stored(), [])

      yield* visit(device, (a) =>
        Effect.gen(function* () {
          yield* a.goOnline
          yield* comeOnline(a, 0)
          yield* untilUploaded(a, 2)
        })
      )
      assert.strictEqual(files.stored().length, 2)
      const [again] = yield* evict(database, library)
      assert.deepInclude(again, { files: 2, fileBytes: 6 })
      assert.strictEqual(files.stored().length, 2)
      // The library is already evicted, by a process without the file store.
      assert.deepStrictEqual(yield* evict(database, library, files.blobs), [])
      assert.deepStrictEqual(files.stored(), [])
    })
  )
})
