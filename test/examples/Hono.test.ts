/** examples/hono, with real Verdant clients. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import { startExample } from "../support/servers/ExampleProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import type { Library } from "../support/verdant/Library.ts"
import { hasRestored, openClient, openClients } from "../support/verdant/VerdantClient.ts"

/** A library whose tokens the example issues, as a Verdant client asks for them. */
const libraryOf = (url: string): Library => {
  const id = LibraryId.make(randomName())
  const token = (userId: string) =>
    Effect.promise(async () => {
      const response = await fetch(`${url}/auth/${id}?userId=${userId}`)
      return ((await response.json()) as { readonly accessToken: string }).accessToken
    })
  return { id, endpoint: `${url}/verdant`, token: ({ userId }) => token(userId) }
}

describe("the example with Hono", () => {
  it.live.each(["realtime", "pull"] as const)(
    "syncs documents and files of Verdant clients by %s, and evicts a library",
    (transport) =>
      Effect.gen(function* () {
        const example = yield* startExample("examples/hono/server.ts")
        const library = libraryOf(example.url)
        const [a, b] = yield* openClients(["a", "b"], { library, transport })
        const image = new File(["the picture"], "picture.txt", { type: "text/plain" })
        const id = yield* a.put({ content: "text", image })
        yield* b.until("it has the item", (items) => items.length === 1)
        yield* b.edit(id, (item) => item.get("tags").push("from b"))
        yield* a.until("it has the tag", ([item]) => item?.tags.includes("from b") === true)
        yield* until("it is uploaded", () => a.network.uploads() === 1)
        const file = (yield* b.entity(id)).get("image")
        yield* until("b has the file's link", () => typeof file.url === "string")
        const content = yield* Effect.promise(async () => (await fetch(file.url)).text())
        assert.strictEqual(content, "the picture")
        const evicted = yield* Effect.promise(async () =>
          (await fetch(`${example.url}/admin/evict/${library.id}`, { method: "POST" })).json()
        )
        assert.deepStrictEqual(evicted, { evicted: true })
        yield* until("one of them restored it", () => hasRestored(a) || hasRestored(b))
        const c = yield* openClient({ library, user: "c", transport })
        yield* c.until("it has the item", ([item]) => item?.tags.includes("from b") === true)
        for (const client of [a, b, c]) yield* client.goOffline
        assert.strictEqual(yield* example.stop, 0)
      })
  )

  it.live("leaves other paths to the app, and refuses upgrades that are not Sealog's", () =>
    Effect.gen(function* () {
      const { url } = yield* startExample("examples/hono/server.ts")
      const status = (path: string, init?: RequestInit) =>
        Effect.promise(async () => (await fetch(`${url}${path}`, init)).status)
      assert.strictEqual(yield* status("/auth/notes"), 401)
      assert.strictEqual(yield* status("/nothing"), 404)
      assert.strictEqual(yield* status("/verdant", { method: "POST" }), 401)
      assert.strictEqual(yield* status("/verdant/files/none"), 401)
    })
  )
})
