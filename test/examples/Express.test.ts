/** Express: examples/express with real Secsync clients, and a path of an app with real Verdant clients. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectVerdant } from "../support/clients/RawVerdant.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { startExample } from "../support/servers/ExampleProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClients } from "../support/verdant/VerdantClient.ts"

describe("the example with Express", () => {
  it.live("syncs Secsync clients, and keeps its own routes", () =>
    Effect.gen(function* () {
      const example = yield* startExample("examples/express/server.ts")
      const url = example.url.replace("http", "ws")
      const documentId = randomName()
      const a = yield* connectClient({ url, documentId, token: "any" })
      yield* a.until("it is connected", () => a.isSettled())
      a.write("first")
      const b = yield* connectClient({ url, documentId, token: "other" })
      yield* untilAll([a, b], "both have the text", (client) => client.list().includes("first"))
      b.write("second")
      yield* untilAll([a, b], "both have both", (client) => client.list().length === 2 && client.isSettled())
      const response = yield* Effect.promise(() =>
        fetch(`${example.url}/of-the-app`, { headers: { origin: "https://app" } })
      )
      assert.strictEqual(response.status, 404)
      assert.strictEqual(response.headers.get("access-control-allow-origin"), "*")
      assert.strictEqual(yield* example.stop, 0)
    })
  )

  it.live("is served under a path of Express, which shortens the URL there", () =>
    Effect.gen(function* () {
      const { url } = yield* startExample("test/support/servers/expressUnderPath.ts")
      const library = libraryOn({ url: `${url}/sync` })
      const [a, b] = yield* openClients(["a", "b"], { library, transport: "pull" })
      yield* a.put({ content: "text" })
      yield* b.until("it has the item", (items) => items.length === 1)
      const socket = yield* connectVerdant(library, yield* library.token({ userId: "c" }))
      yield* socket.settled
      const text = (path: string) => Effect.promise(async () => (await fetch(`${url}${path}`)).text())
      assert.strictEqual(yield* text("/sync/own"), "the app's")
      assert.strictEqual(yield* text("/own"), "the app's")
      for (const client of [a, b]) yield* client.goOffline
    })
  )
})
