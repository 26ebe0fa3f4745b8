/** With `maxUpdatesPerSnapshot`, real clients replace snapshots when the server asks, and lose or repeat nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { writeItems } from "../support/secsync/writeItems.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

describe("a server that asks for snapshots", () => {
  it.live("several clients lose nothing, also with several updates in flight", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ secsync: { maxUpdatesPerSnapshot: 10 } })
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const { clients, newcomer } = yield* writeItems(3, options)
      for (const client of clients) assert.deepStrictEqual(client.list(), newcomer.list())
      const errors = [...clients, newcomer].flatMap((client) => client.errors())
      assert.deepStrictEqual(
        errors.filter((error) => error !== "SECSYNC_ERROR_214"),
        []
      )
    })
  )
})
