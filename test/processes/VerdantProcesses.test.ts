/** Several servers on one database act as one server to Verdant clients. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import { connectVerdant, post, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, set } from "../support/verdant/Replica.ts"
import { openClient, untilSame } from "../support/verdant/VerdantClient.ts"

// Each test runs several server processes.
vi.setConfig({ testTimeout: 600_000 })

const startTwo = Effect.fnUntraced(function* () {
  const database = yield* freshStorage
  const servers = yield* Effect.all([spawnServer(database), spawnServer(database)], { concurrency: 2 })
  const id = randomName()
  return { database, servers, libraries: [libraryOn(servers[0], id), libraryOn(servers[1], id)] as const }
})

const assertInOrder = Effect.fnUntraced(function* (database: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "replay")
  assert.strictEqual(exitCode, 0, stdout + stderr)
})

describe("two processes", () => {
  it.live("clients of two processes converge, see each other's presence, and survive an eviction and a kill", () =>
    Effect.gen(function* () {
      const { database, servers, libraries } = yield* startTwo()
      const [one, two] = libraries
      const clients = [
        yield* openClient({ library: one, user: "a" }),
        yield* openClient({ library: two, user: "b" }),
        yield* openClient({ library: one, user: "c", transport: "pull" }),
        yield* openClient({ library: two, user: "d", transport: "pull" })
      ] as const
      const [a, b, c, d] = clients
      const id = yield* a.put({ content: "shared" })
      for (const client of clients) yield* client.until("it has the item", (items) => items.length === 1)
      for (let round = 0; round < 5; round++) {
        yield* Effect.forEach(
          clients,
          (client) => client.edit(id, (item) => item.get("tags").push(`${client.user} ${round}`)),
          { concurrency: "unbounded" }
        )
      }
      for (const client of clients) yield* client.until("it has all", ([item]) => item?.tags.length === 20)
      yield* untilSame(clients)
      for (const client of clients) {
        const others = clients.filter((other) => other !== client).map(({ user }) => user)
        yield* until(
          `${client.user} sees all others`,
          () => others.every((user) => client.peers().includes(user)),
          () => client.peers()
        )
      }
      b.store.sync.presence.update({ says: "hello" })
      yield* until("presence reaches a client of the other process", () => {
        const { peers } = a.store.sync.presence
        return peers["b"]?.presence?.says === "hello"
      })

      assert.strictEqual((yield* runCommand(database, "evict", one.id, "--yes")).exitCode, 0)
      // A client that does not know of the eviction yet is reset, and loses what it writes until then.
      for (const client of clients) {
        yield* until(`${client.user} has restored it or was reset`, () => client.restores() + client.resets() > 0)
      }
      yield* untilSame(clients)
      yield* d.edit(id, (item) => item.get("tags").push("after the eviction"))
      for (const client of clients) yield* client.until("it goes on", ([item]) => item?.tags.length === 21)

      yield* servers[0].kill
      yield* a.edit(id, (item) => item.get("tags").push("of a, without a server"))
      yield* b.edit(id, (item) => item.get("tags").push("of b, with a server"))
      yield* spawnServer(database, { port: servers[0].port })
      for (const client of [a, b, c, d]) yield* client.until("it has both", ([item]) => item?.tags.length === 23)
      const [item] = yield* untilSame(clients)
      assert.lengthOf(new Set(item?.tags).size === 23 ? [1] : [], 1)
      yield* assertInOrder(database)
    })
  )

  it.live("clients of two processes that restore an evicted library at once lose nothing", () =>
    Effect.gen(function* () {
      const { database, libraries } = yield* startTwo()
      const clients = [
        yield* openClient({ library: libraries[0], user: "a" }),
        yield* openClient({ library: libraries[1], user: "b" })
      ] as const
      const [a, b] = clients
      for (const n of [1, 2, 3, 4, 5]) yield* a.put({ content: `of a, ${n}` })
      for (const n of [1, 2, 3, 4, 5]) yield* b.put({ content: `of b, ${n}` })
      for (const client of clients) yield* client.until("it has all", (items) => items.length === 10)
      yield* untilSame(clients)
      for (const client of clients) yield* client.goOffline
      assert.strictEqual((yield* runCommand(database, "evict", libraries[0].id, "--yes")).exitCode, 0)
      yield* Effect.forEach(clients, (client) => client.goOnline, { concurrency: 2 })
      const late = yield* openClient({ library: libraries[1], user: "late" })
      yield* late.until("it has all", (items) => items.length === 10)
      assert.lengthOf(yield* untilSame([a, b, late]), 10)
      yield* assertInOrder(database)
    })
  )

  it.live("a client that polls two processes in turn receives every operation once", () =>
    Effect.gen(function* () {
      const { libraries } = yield* startTwo()
      const token = yield* libraries[0].token({ userId: "a" })
      const [writer, reader] = [makeReplica(), makeReplica()]
      const listener = yield* connectVerdant(libraries[1], yield* libraries[1].token({ userId: "listener" }))
      const listening = makeReplica()
      let since: unknown = null
      let heard = 0
      const begun = yield* post(libraries[0], token, [
        writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })
      ])
      assert.isDefined(syncResponse(begun))
      yield* registerReplica(listener, listening)
      const timestamps: Array<string> = []
      for (let n = 0; n < 12; n++) {
        const written = writer.operation("item/x", set("n", n))
        const stored = yield* post(libraries[n % 2]!, token, [writer.op(written)])
        assert.strictEqual(stored.status, 200, JSON.stringify(stored))
        const polled = yield* post(libraries[(n + 1) % 2]!, token, [reader.sync({ since, resyncAll: since === null })])
        const response = syncResponse(polled)
        const operations = response?.["operations"] as ReadonlyArray<{ readonly timestamp: string }>
        timestamps.push(...operations.map(({ timestamp }) => timestamp))
        assert.include(timestamps, written.timestamp)
        since = response?.["ackedTimestamp"]
        const nonce = response?.["ackThisNonce"]
        if (nonce !== undefined) yield* post(libraries[n % 2]!, token, [reader.ack({ nonce })])
        yield* listener.next("op-re", (message) => JSON.stringify(message).includes(written.timestamp))
        heard += 1
      }
      assert.strictEqual(heard, 12)
      assert.strictEqual(listener.messages.filter(({ type }) => type === "op-re").length, 12)
      assert.lengthOf(timestamps, new Set(timestamps).size)
    })
  )
})
