/** Real clients that write at the same time end up with the same document, and none complains. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect, Fiber } from "effect"
import * as Y from "yjs"
import { connectClient, nextTurn, type SecsyncClient, untilAll } from "../support/SecsyncClient.ts"
import { randomName, startServer, type TestServer } from "../support/TestServer.ts"

const RUNS = 20
const WRITERS = 3
const ITEMS_PER_WRITER = 24
const SNAPSHOT_EVERY = 15

describe("convergence", () => {
  it.live(`three writers with snapshots and a late joiner, ${RUNS} runs of ${RUNS}`, () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      yield* Effect.forEach(Array.range(1, RUNS), (i) => Effect.scoped(run(server, i)), { concurrency: 2 })
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

const run = Effect.fnUntraced(function* (server: TestServer, number: number) {
  const options = {
    url: server.url,
    documentId: randomName(),
    token: yield* server.token(randomName()),
    snapshotEvery: SNAPSHOT_EVERY
  }
  const writers = yield* Effect.all(Array.makeBy(WRITERS, () => connectClient(options)))
  yield* untilAll(writers, "every writer has loaded", (client) => client.isSettled())
  const late = yield* Effect.forkChild(
    Effect.gen(function* () {
      yield* untilAll(writers, "half is written", (client) => client.list().length > (WRITERS * ITEMS_PER_WRITER) / 2)
      return yield* connectClient(options)
    })
  )
  yield* Effect.forEach(writers, (writer, i) => writeAll(writer, `run ${number}, writer ${i}`), {
    concurrency: "unbounded",
    discard: true
  })
  const clients = [...writers, yield* Fiber.join(late)]
  yield* untilAll(
    clients,
    "every client has everything",
    (client) => client.isSettled() && client.list().length >= WRITERS * ITEMS_PER_WRITER
  )
  assertSame(clients)
  assert.strictEqual(new Set(clients[0]?.list()).size, WRITERS * ITEMS_PER_WRITER)
  assert.strictEqual(new Set(clients.map((client) => client.activeSnapshotId())).size, 1)
})

/** Now several at once, now one after the other is acknowledged. */
const writeAll = Effect.fnUntraced(function* (client: SecsyncClient, name: string) {
  for (let i = 0; i < ITEMS_PER_WRITER; i++) {
    client.write(`${name}: ${i}`)
    if (Math.random() < 0.3) yield* client.until("it is acknowledged", client.isSettled)
    else if (Math.random() < 0.7) yield* nextTurn
  }
})

const assertSame = (clients: ReadonlyArray<SecsyncClient>) => {
  for (const client of clients) {
    assert.deepStrictEqual(client.list(), clients[0]?.list())
    assert.deepStrictEqual(Y.encodeStateVector(client.doc), Y.encodeStateVector(clients[0]!.doc))
    assert.deepStrictEqual(
      client.errors().filter((error) => error !== "SECSYNC_ERROR_214"),
      []
    )
  }
}
