/** Real clients that missed changes: they were behind, offline, cut off, or not acknowledged. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Proxied, startProxy } from "../support/network/Proxy.ts"
import { connectClient, nextTurn, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"

const isRefusal = ({ type }: Proxied): boolean => type === "snapshot-save-failed"

describe("catching up", () => {
  it.live("a client that is two snapshots behind merges without a reconnect", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const proxy = yield* startProxy(server.url)
      // Both clients send a snapshot for every change.
      const options = { documentId: randomName(), token: yield* server.token(randomName()), snapshotEvery: 0 }
      const ahead = yield* connectClient({ ...options, url: server.url })
      yield* writeSettled(ahead, "one")
      const behind = yield* connectClient({ ...options, url: proxy.url })
      yield* behind.until("it has loaded", () => behind.isSettled() && behind.list().length === 1)

      proxy.stall()
      yield* writeSettled(ahead, "two")
      yield* writeSettled(ahead, "three")
      assert.deepStrictEqual(behind.list(), ["one"])
      behind.write("four")
      yield* Effect.repeat(nextTurn, { until: () => proxy.received.some(isRefusal) })
      proxy.flow()
      yield* untilAll([ahead, behind], "both have all", (client) => client.isSettled() && client.list().length === 4)
      assert.deepStrictEqual(behind.list(), ahead.list())
      assert.strictEqual(behind.connections(), 1)
      assertNoErrors(ahead, behind)
    })
  )

  it.live("a client that returns receives exactly the updates that it misses of several authors", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const proxy = yield* startProxy(server.url)
      const options = { documentId: randomName(), token: yield* server.token(randomName()) }
      const [a, b] = yield* Effect.all([
        connectClient({ ...options, url: server.url }),
        connectClient({ ...options, url: server.url })
      ])
      yield* untilAll([a, b], "they have loaded", (client) => client.isSettled())
      yield* writeSettled(a, "the snapshot")
      const away = yield* connectClient({ ...options, url: proxy.url })
      for (const item of ["a 0", "a 1"]) yield* writeSettled(a, item)
      yield* b.until("it has all", () => b.list().length === 3)
      for (const item of ["b 0", "b 1", "b 2"]) yield* writeSettled(b, item)
      yield* untilAll([a, b, away], "all have all", (client) => client.isSettled() && client.list().length === 6)

      away.disconnect()
      for (const item of ["2", "3"]) {
        yield* writeSettled(b, `b ${Number(item) + 1}`)
        yield* writeSettled(a, `a ${item}`)
      }
      proxy.received.length = 0
      away.reconnect()
      yield* untilAll([a, b, away], "all have all", (client) => client.isSettled() && client.list().length === 10)

      const { type, snapshot, updates } = proxy.received[0] as {
        readonly type: string
        readonly snapshot?: unknown
        readonly updates: ReadonlyArray<{ readonly publicData: { readonly pubKey: string; readonly clock: number } }>
      }
      assert.strictEqual(type, "document")
      assert.isUndefined(snapshot)
      const names = new Map([
        [a.pubKey, "a"],
        [b.pubKey, "b"]
      ])
      assert.deepStrictEqual(
        updates.map(({ publicData }) => `${names.get(publicData.pubKey)} ${publicData.clock}`),
        ["b 3", "a 2", "b 4", "a 3"]
      )
      assert.deepStrictEqual(away.errors(), [])
    })
  )

  it.live("a client that returns and writes sends an update, not a snapshot", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const [client, witness] = yield* Effect.all([connectClient(options), connectClient(options)])
      yield* untilAll([client, witness], "both have loaded", (client) => client.isSettled())
      for (const item of ["the snapshot", "update 0", "update 1"]) yield* writeSettled(client, item)
      const snapshotId = client.activeSnapshotId()
      for (const item of ["a", "b"]) {
        // After a reconnect, the client has forgotten its own clock, and starts with 0 again.
        client.disconnect()
        client.reconnect()
        yield* client.until("it is back", client.isSettled)
        yield* writeSettled(client, item)
      }
      yield* witness.until("it has all", () => witness.isSettled() && witness.list().length === 5)
      assert.strictEqual(client.activeSnapshotId(), snapshotId)
      assert.deepStrictEqual(client.list(), witness.list())
      assertNoErrors(client, witness)
    })
  )

  it.live("a client that returns and writes faster than the server answers loses nothing", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const [client, witness] = yield* Effect.all([connectClient(options), connectClient(options)])
      yield* untilAll([client, witness], "both have loaded", (client) => client.isSettled())
      for (const item of ["the snapshot", "update 0", "update 1"]) yield* writeSettled(client, item)
      for (let round = 1; round <= 5; round++) {
        client.disconnect()
        client.reconnect()
        yield* client.until("it is back", client.isSettledOnActive)
        for (let i = 0; i < 5; i++) {
          client.write(`round ${round}: ${i}`)
          yield* nextTurn
        }
        yield* untilAll(
          [client, witness],
          "both have all",
          (client) => client.isSettledOnActive() && client.list().length === 3 + 5 * round
        )
      }
      assert.deepStrictEqual(client.list(), witness.list())
      assertNoErrors(client, witness)
    })
  )

  it.live("offline changes arrive, also after a new snapshot", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const online = yield* connectClient({ ...options, snapshotEvery: 3 })
      yield* writeSettled(online, "one")
      const offline = yield* connectClient(options)
      yield* offline.until("it has loaded", () => offline.isSettled() && offline.list().length === 1)
      const before = offline.activeSnapshotId()
      offline.disconnect()
      offline.write("offline 0")
      offline.write("offline 1")
      for (let i = 0; i < 9; i++) yield* writeSettled(online, `online ${i}`)
      assert.notStrictEqual(online.activeSnapshotId(), before)
      offline.reconnect()
      yield* untilAll([online, offline], "both have all", (client) => client.isSettled() && client.list().length === 12)
      assert.deepStrictEqual(online.list(), offline.list())
      assertNoErrors(online, offline)
    })
  )

  it.live("a client that loses its acknowledgements stores every change once", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const proxy = yield* startProxy(server.url)
      const options = { documentId: randomName(), token: yield* server.token(randomName()) }
      const witness = yield* connectClient({ ...options, url: server.url })
      yield* writeSettled(witness, "the snapshot")
      const unlucky = yield* connectClient({ ...options, url: proxy.url })
      yield* unlucky.until("it has loaded", () => unlucky.isSettled() && unlucky.list().length === 1)
      const items = Array.from({ length: 4 }, (_, i) => i + 2)
      for (const length of items) {
        proxy.drop(({ type }: Proxied) => type === "update-saved")
        unlucky.write(`item ${length}`)
        // The update is stored, but its author receives no acknowledgement.
        yield* witness.until("it is stored", () => witness.list().length === length)
        proxy.drop(() => false)
        proxy.cut()
        yield* unlucky.until("it is back", unlucky.isSettled)
      }
      yield* witness.until("it has everything", witness.isSettled)
      assert.strictEqual(unlucky.connections(), 1 + items.length)
      assert.deepStrictEqual(unlucky.list(), witness.list())
      assert.strictEqual(new Set(witness.list()).size, 1 + items.length)
      assertNoErrors(witness, unlucky)
    })
  )
})

const writeSettled = Effect.fnUntraced(function* (client: SecsyncClient, item: string) {
  yield* client.until("it may write", client.isSettled)
  client.write(item)
  yield* client.until("it is acknowledged", client.isSettled)
})

const assertNoErrors = (...clients: ReadonlyArray<SecsyncClient>) => {
  for (const client of clients) {
    assert.deepStrictEqual(
      client.errors().filter((error) => error !== "SECSYNC_ERROR_214"),
      []
    )
  }
}
