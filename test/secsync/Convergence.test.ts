/** Real clients of one document end up with the same content, and without an error that is not of their own making. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { connectClient, untilAll } from "../support/SecsyncClient.ts"
import { randomName, startServer } from "../support/TestServer.ts"
import { assertSame, writeTogether } from "../support/writeTogether.ts"

const RUNS = 20

describe("convergence", () => {
  it.live(`three writers with snapshots and a late joiner, ${RUNS} runs of ${RUNS}`, () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const run = Effect.fnUntraced(function* (number: number) {
        yield* writeTogether([server.url], yield* server.token(randomName()), `run ${number}`)
      }, Effect.scoped)
      yield* Effect.forEach(Array.range(1, RUNS), run, { concurrency: 2 })
    })
  )

  it.live("clients that race for the first snapshot", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
      yield* untilAll(clients, "every client has an empty document", (client) => client.isSettled())
      // All of them believe that the document is theirs to begin.
      for (const [i, client] of clients.entries()) client.write(`client ${i}`)
      yield* untilAll(clients, "all have all", (client) => client.isSettled() && client.list().length === 3)
      assertSame(clients)
      assert.deepStrictEqual(new Set(clients.map((client) => client.connections())), new Set([1]))
    })
  )
})
