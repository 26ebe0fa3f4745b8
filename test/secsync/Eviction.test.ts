/** Real clients restore an evicted library, and lose nothing. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { Array, Effect } from "effect"
import { startProxy } from "../support/network/Proxy.ts"
import { evict } from "../support/secsync/evict.ts"
import { connectClient, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName, startServer, type TestServer } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"

describe("eviction", () => {
  it.live("connected clients restore an evicted library by themselves", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = randomName()
      const token = yield* server.token(library)
      const documentIds = Array.makeBy(3, randomName)
      const groups = yield* Effect.forEach(documentIds, (documentId) =>
        Effect.gen(function* () {
          const options = { url: server.url, documentId, token, snapshotEvery: 15 }
          const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
          for (const [i, client] of clients.entries()) {
            yield* client.until("it has loaded", client.isSettled)
            client.write(`before ${i}`)
            yield* untilAll(clients, "all have it", (client) => client.isSettled() && client.list().length === i + 1)
          }
          return { documentId, clients, evictedSnapshotId: clients[0]?.activeSnapshotId() }
        })
      )
      const evicted = yield* evict(server.database, library)
      assert.deepStrictEqual(evicted.map(({ documentId }) => documentId).sort(), [...documentIds].sort())

      for (const { documentId, clients, evictedSnapshotId } of groups) {
        yield* untilAll(
          clients,
          "it is restored",
          (client) => client.isSettled() && client.activeSnapshotId() !== evictedSnapshotId
        )
        const stored = yield* storedTail(server, { libraryId: LibraryId.make(library), streamId: documentId })
        // The server asked one client, so one snapshot follows the eviction.
        assert.deepStrictEqual(stored, ["SnapshotStored"])
        const newcomer = yield* connectClient({ url: server.url, documentId, token })
        yield* newcomer.until("it has loaded", () => newcomer.isSettled() && newcomer.list().length > 0)
        assertSame([...clients, newcomer], ["before 0", "before 1", "before 2"])
        assert.deepStrictEqual(
          clients.map((client) => client.connections()),
          [1, 1, 1]
        )
      }
    })
  )

  it.live("clients of `sync-admin serve` restore a library after `sync-admin evict`", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const server = yield* spawnServer(database)
      const library = randomName()
      const options = { url: server.url, documentId: randomName(), token: yield* mintToken(library) }
      const clients = yield* Effect.all(Array.makeBy(2, () => connectClient(options)))
      yield* untilAll(clients, "both have loaded", (client) => client.isSettled())
      clients[0]?.write("one")
      yield* untilAll(clients, "both have it", (client) => client.isSettled() && client.list().length === 1)
      const evictedSnapshotId = clients[0]?.activeSnapshotId()

      const { exitCode, stdout } = yield* runCommand(database, "evict", library, "--yes")
      assert.strictEqual(exitCode, 0)
      assert.deepStrictEqual(
        JSON.parse(stdout).documents.map(({ documentId }: { readonly documentId: string }) => documentId),
        [options.documentId]
      )
      yield* untilAll(
        clients,
        "it is restored",
        (client) => client.isSettled() && client.activeSnapshotId() !== evictedSnapshotId
      )
      const newcomer = yield* connectClient(options)
      yield* newcomer.until("it has loaded", () => newcomer.isSettled() && newcomer.list().length === 1)
      assertSame([...clients, newcomer], ["one"])
      assert.strictEqual((yield* runCommand(database, "replay")).exitCode, 0)
    })
  )

  it.live("clients that write during an eviction lose nothing", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = randomName()
      const options = {
        url: server.url,
        documentId: randomName(),
        token: yield* server.token(library),
        snapshotEvery: 15
      }
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
      yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
      let items = 0
      let isOver = false
      const write = Effect.fnUntraced(function* (client: SecsyncClient, name: number) {
        for (let i = 1; !isOver; i++) {
          client.write(`writer ${name}: ${i}`)
          items += 1
          if (i % 3 === 0) yield* client.until("it is acknowledged", client.isSettledOnActive)
          // Leaves time for the process that evicts.
          yield* Effect.sleep("20 millis")
        }
      })
      const key = { libraryId: LibraryId.make(library), streamId: options.documentId }
      // An evicted document that is not restored yet cannot be evicted again.
      const untilRestored = Effect.repeat(Effect.andThen(Effect.sleep("20 millis"), storedTail(server, key)), {
        until: (types) => types[0] === "SnapshotStored"
      })
      const evictions = Effect.forEach(Array.range(1, 3), (i) =>
        clients[0]!
          .until("some is written", () => clients[0]!.list().length > i * 25)
          .pipe(Effect.andThen(evict(server.database, library)), Effect.andThen(untilRestored))
      ).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            isOver = true
          })
        )
      )
      yield* Effect.all([evictions, ...clients.map(write)], { concurrency: "unbounded" })
      yield* untilAll(clients, "all have all", (client) => client.isSettledOnActive() && client.list().length === items)
      const newcomer = yield* connectClient(options)
      yield* newcomer.until("it has all", () => newcomer.list().length === items)
      assertSame([...clients, newcomer], clients[0]!.list())
      assert.strictEqual(new Set(newcomer.list()).size, items)
      const [head] = yield* server.log.heads([key]).pipe(Effect.orDie)
      assert.strictEqual(head?.generation, 3)
    })
  )

  it.live(
    "after an eviction while all are offline, the server asks the first client that has the document, never an empty one",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const newcomersLine = yield* startProxy(server.url)
        const library = randomName()
        const options = { documentId: randomName(), token: yield* server.token(library) }
        let keyFetched = Promise.resolve()
        const complete = yield* connectClient({ ...options, url: server.url })
        const behind = yield* connectClient({ ...options, url: server.url, keyFetched: () => keyFetched })
        yield* untilAll([complete, behind], "they have loaded", (client) => client.isSettled())
        complete.write("one")
        yield* untilAll(
          [complete, behind],
          "both have it",
          (client) => client.isSettled() && client.list().length === 1
        )
        behind.disconnect()
        complete.write("two")
        yield* complete.until("it is acknowledged", complete.isSettled)
        complete.disconnect()
        yield* evict(server.database, library)

        const newcomer = yield* connectClient({ ...options, url: newcomersLine.url })
        yield* newcomer.until("it has an empty document", newcomer.isSettled)
        // This client has the right snapshot, but not all of its updates.
        behind.reconnect()
        yield* behind.until("it is back", behind.isSettled)
        assert.deepStrictEqual(newcomer.list(), [])

        const { promise, resolve } = Promise.withResolvers<void>()
        keyFetched = promise
        complete.reconnect()
        yield* untilAll(
          [newcomer, complete],
          "it is restored",
          (client) => client.isSettled() && client.list().length === 2
        )
        assertSame([newcomer, complete], ["one", "two"])
        assert.deepStrictEqual(
          newcomersLine.received.map(({ type }) => type).filter((type) => type !== "ephemeral-message"),
          ["document", "snapshot"]
        )
        // Later changes reach every client that was connected before.
        newcomer.write("three")
        yield* newcomer.until("it is acknowledged", newcomer.isSettled)
        resolve()
        yield* untilAll(
          [newcomer, complete, behind],
          "all have it",
          (client) => client.isSettled() && client.list().length === 3
        )
        assertSame([newcomer, complete, behind], ["one", "two", "three"])
      })
  )

  it.live("a client that returns with offline changes restores the document with them", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const library = randomName()
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(library) }
      const client = yield* connectClient(options)
      yield* client.until("it has loaded", client.isSettled)
      client.write("one")
      yield* client.until("it is acknowledged", client.isSettled)
      client.disconnect()
      yield* evict(server.database, library)
      client.write("two")
      client.reconnect()
      yield* client.until("it is stored", client.isSettled)
      const newcomer = yield* connectClient(options)
      yield* newcomer.until("it has all", () => newcomer.isSettled() && newcomer.list().length === 2)
      assertSame([client, newcomer], ["one", "two"])
    })
  )
})

/** The types of the events since the stream's newest checkpoint. */
const storedTail = (server: TestServer, key: StreamKey) =>
  server.log.tail(key, { payloads: false }).pipe(
    Effect.map(({ events }) => events.map(({ event }) => event.type)),
    Effect.orDie
  )

const assertSame = (clients: ReadonlyArray<SecsyncClient>, expected: ReadonlyArray<string>) => {
  for (const client of clients) {
    assert.deepStrictEqual(client.list(), expected)
    assert.deepStrictEqual(
      client.errors().filter((error) => error !== "SECSYNC_ERROR_214"),
      []
    )
  }
}
