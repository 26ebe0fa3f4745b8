/** Real clients of a document that reaches its quota of bytes: they replace its snapshot, and lose or repeat nothing. */
import { assert, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectClient, nextTurn, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

const ITEMS = 60

it.live("clients of a document whose updates reach its quota go on with a snapshot", () =>
  Effect.gen(function* () {
    const server = yield* startServer({ quota: { documentBytes: 20_000 } })
    const [documentId, libraryId] = [randomName(), randomName()]
    const options = { url: server.url, documentId, token: yield* server.token(libraryId) }
    const clients = yield* Effect.all(Array.makeBy(2, () => connectClient(options)))
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
    const events = yield* server.log.read({ libraryId: libraryId as never, streamId: documentId }, { after: 0 })
    assert.isAbove(events.filter(({ event }) => event.checkpoint).length, 1)
  })
)
