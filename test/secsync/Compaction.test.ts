/** With `maxUpdatesPerSnapshot`, real clients replace snapshots when the server asks, and lose or repeat nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectClient, nextTurn, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

const ITEMS = 60

describe("a server that asks for snapshots", () => {
  it.live("several clients lose nothing, also with several updates in flight", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ secsync: { maxUpdatesPerSnapshot: 10 } })
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
      yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
      const write = (client: SecsyncClient, name: number) =>
        Effect.forEach(Array.range(1, ITEMS), (i) => {
          client.write(`writer ${name}: ${i}`)
          return i % 4 === 0 ? client.until("it is acknowledged", client.isSettledOnActive) : nextTurn
        })
      yield* Effect.all(clients.map(write), { concurrency: "unbounded" })
      yield* untilAll(
        clients,
        "all have all",
        (client) => client.isSettledOnActive() && client.list().length === clients.length * ITEMS
      )
      const newcomer = yield* connectClient(options)
      yield* newcomer.until("it has all", () => newcomer.list().length === clients.length * ITEMS)
      assert.strictEqual(new Set(newcomer.list()).size, clients.length * ITEMS)
      for (const client of clients) assert.deepStrictEqual(client.list(), newcomer.list())
      const errors = [...clients, newcomer].flatMap((client) => client.errors())
      assert.deepStrictEqual(
        errors.filter((error) => error !== "SECSYNC_ERROR_214"),
        []
      )
    })
  )
})
