/** Several real clients write one document at the same time, with snapshots, and one joins late: they must converge. */
import { assert } from "@effect/vitest"
import { Array, Effect, Fiber } from "effect"
import * as Y from "yjs"
import { randomName } from "../servers/TestServer.ts"
import { until } from "../until.ts"
import { connectClient, nextTurn, type SecsyncClient, untilAll } from "./SecsyncClient.ts"

const WRITERS = 3
const ITEMS_PER_WRITER = 24
const SNAPSHOT_EVERY = 15

/** Runs the scenario once. The clients connect to the URLs in turn. */
export const writeTogether = Effect.fnUntraced(function* (urls: ReadonlyArray<string>, token: string, name: string) {
  const documentId = randomName()
  const connect = (i: number) =>
    connectClient({ url: urls[i % urls.length]!, documentId, token, snapshotEvery: SNAPSHOT_EVERY })
  const writers = yield* Effect.all(Array.makeBy(WRITERS, connect))
  yield* untilAll(writers, "every writer has loaded", (client) => client.isSettled())
  const late = yield* Effect.forkChild(
    Effect.gen(function* () {
      yield* untilAll(writers, "half is written", (client) => client.list().length > (WRITERS * ITEMS_PER_WRITER) / 2)
      return yield* connect(WRITERS)
    })
  )
  yield* Effect.forEach(writers, (writer, i) => writeAll(writer, `${name}, writer ${i}`), {
    concurrency: "unbounded",
    discard: true
  })
  const clients = [...writers, yield* Fiber.join(late)]
  yield* untilAll(
    clients,
    "every client has everything",
    (client) => client.isSettledOnActive() && client.list().length >= WRITERS * ITEMS_PER_WRITER
  )
  // The last snapshot may still be on its way to the clients that did not write it.
  yield* until(
    "every client has the same snapshot",
    () => new Set(clients.map((client) => client.activeSnapshotId())).size === 1
  )
  assertSame(clients)
  assert.strictEqual(new Set(clients[0]?.list()).size, WRITERS * ITEMS_PER_WRITER)
})

/** Writes items: some several at once, some after the last is acknowledged. */
const writeAll = Effect.fnUntraced(function* (client: SecsyncClient, name: string) {
  for (let i = 0; i < ITEMS_PER_WRITER; i++) {
    client.write(`${name}: ${i}`)
    if (Math.random() < 0.3) yield* client.until("it is acknowledged", client.isSettledOnActive)
    else if (Math.random() < 0.7) yield* nextTurn
  }
})

/** Asserts that all clients have the same document, and that SECSYNC_ERROR_214 is their only error. */
export const assertSame = (clients: ReadonlyArray<SecsyncClient>) => {
  for (const client of clients) {
    assert.deepStrictEqual(client.list(), clients[0]?.list())
    assert.deepStrictEqual(Y.encodeStateVector(client.doc), Y.encodeStateVector(clients[0]!.doc))
    assert.deepStrictEqual(
      client.errors().filter((error) => error !== "SECSYNC_ERROR_214"),
      []
    )
  }
}
