/** examples/express, with real Secsync clients. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { startExample } from "../support/servers/ExampleProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"

describe("the example with Express", () => {
  it.live("syncs Secsync clients, and keeps its own routes", () =>
    Effect.gen(function* () {
      const example = yield* startExample("express/server.ts")
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
})
