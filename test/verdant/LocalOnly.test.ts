/** Clients that have never synced: their local work, and what the first sync uploads. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { documentSnapshot, libraryInfo } from "../support/verdant/admin.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

const operationsOf = (client: VerdantClient) =>
  Effect.promise(async () => (await client.store.stats()).meta.operationsSize.count)

const untilCompacted = (client: VerdantClient) =>
  until(
    "it has compacted everything",
    Effect.map(operationsOf(client), (operations) => operations === 0)
  )

const filesOf = (client: VerdantClient) => Effect.promise(async () => (await client.store.stats()).files.size.count)

const cleanUp = (client: VerdantClient) => Effect.promise(async () => client.store.__cleanupFilesImmediately())

const file = (text: string) => new File([text], `${text}.txt`, { type: "text/plain" })

describe.each(["realtime", "pull"] as const)("a client that has never synced (%s)", (transport) => {
  it.live("a local-only client compacts its history, and uploads the result with its first sync", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const a = yield* openClient({ library, user: "a", transport, offline: true })
      const id = yield* a.put({ content: "alone" })
      for (const n of [1, 2, 3, 4, 5]) yield* a.edit(id, (item) => item.get("tags").push(`tag ${n}`))
      yield* a.edit(id, (item) => item.get("tags").delete(0))
      const gone = yield* a.put({ content: "deleted" })
      yield* a.remove(gone)
      yield* untilCompacted(a)

      yield* a.goOnline
      const b = yield* openClient({ library, user: "b", transport })
      yield* b.until("it has the item", ([item]) => item?.tags.length === 4)
      const [item] = yield* untilSame([a, b])
      assert.deepStrictEqual(item?.tags, ["tag 2", "tag 3", "tag 4", "tag 5"])
      assert.deepInclude(yield* documentSnapshot(server.database, library, "item", id), { content: "alone" })
      assert.strictEqual((yield* libraryInfo(server.database, library))?.operations, 0)
      yield* b.edit(id, (item) => item.get("tags").push("of b"))
      yield* a.until("it goes on", ([item]) => item?.tags.length === 5)
      yield* untilSame([a, b])
    })
  )
})

describe("files of a client that has never synced", () => {
  it.live("local files survive a restart, and deleted ones are dropped without reaching the server", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = libraryOn(server)
      const first = yield* openClient({ library, user: "a", offline: true })
      // Without the cut, the store would upload files even before the first sync.
      first.network.cut()
      const id = yield* first.put({ content: "kept", image: file("kept") })
      const gone = yield* first.put({ content: "deleted", image: file("deleted") })
      yield* until(
        "both are stored",
        Effect.map(filesOf(first), (files) => files === 2)
      )
      yield* first.remove(gone)
      yield* untilCompacted(first)
      yield* cleanUp(first)
      assert.strictEqual(yield* filesOf(first), 2)
      yield* first.close

      const a = yield* openClient({ library, user: "a", device: first.device, offline: true, dropsFiles: true })
      yield* cleanUp(a)
      yield* until(
        "the orphaned file is gone",
        Effect.map(filesOf(a), (files) => files === 1)
      )
      yield* a.goOnline
      const b = yield* openClient({ library, user: "b" })
      yield* b.until("it has the item", (items) => items.length === 1)
      const image = (yield* b.entity(id)).get("image")
      yield* until("it knows where the file is", () => typeof image.url === "string")
      assert.strictEqual(yield* Effect.promise(async () => (await fetch(image.url)).text()), "kept")
      assert.lengthOf((yield* libraryInfo(server.database, library))?.files ?? [], 1)
    })
  )
})
