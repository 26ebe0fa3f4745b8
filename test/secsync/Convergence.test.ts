/** Real clients of one document converge, without errors that the server caused. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { vi } from "vitest"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertSame, writeTogether } from "../support/secsync/writeTogether.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

// One test repeats a scenario of four real clients.
vi.setConfig({ testTimeout: 600_000 })

const RUNS = 20

describe("convergence", () => {
  it.live(`three writers with snapshots and a late joiner converge in ${RUNS} of ${RUNS} runs`, () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const run = Effect.fnUntraced(function* (number: number) {
        yield* writeTogether([server.url], yield* server.token(randomName()), `run ${number}`)
      }, Effect.scoped)
      yield* Effect.forEach(Array.range(1, RUNS), run, { concurrency: 2 })
    })
  )

  it.live("a client that waits for its key receives what others write until then", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const writer = yield* connectClient({ ...options, snapshotEvery: 3 })
      yield* writer.until("it has loaded", writer.isSettled)
      writer.write("0")
      yield* writer.until("it is acknowledged", writer.isSettled)
      const asked = Promise.withResolvers<void>()
      const answered = Promise.withResolvers<void>()
      const keyFetched = () => {
        asked.resolve()
        return answered.promise
      }
      const joiner = yield* connectClient({ ...options, keyFetched })
      yield* Effect.promise(() => asked.promise)
      for (const item of Array.range(1, 12)) {
        writer.write(`${item}`)
        yield* writer.until("it is acknowledged", writer.isSettled)
      }
      answered.resolve()
      yield* joiner.until("it has all", () => joiner.isSettled() && joiner.list().length === 13)
      assertSame([writer, joiner])
      assert.deepStrictEqual([joiner.errors(), joiner.connections()], [[], 1])
    })
  )

  it.live("clients that race for the first snapshot converge", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
      yield* untilAll(clients, "every client has an empty document", (client) => client.isSettled())
      // Each client believes that it creates the document.
      for (const [i, client] of clients.entries()) client.write(`client ${i}`)
      yield* untilAll(clients, "all have all", (client) => client.isSettled() && client.list().length === 3)
      assertSame(clients)
      assert.deepStrictEqual(new Set(clients.map((client) => client.connections())), new Set([1]))
    })
  )
})
