/** Servers that end and restart while clients are connected. */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect } from "effect"
import { vi } from "vitest"
import { connectVerdant, post, syncResponse } from "../support/clients/RawVerdant.ts"
import { makeRandom } from "../support/random.ts"
import { runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryInfo } from "../support/verdant/admin.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, type Replica, set } from "../support/verdant/Replica.ts"
import { openClient, openClients, untilSame, type VerdantClient } from "../support/verdant/VerdantClient.ts"

// Some tests start and kill several server processes.
vi.setConfig({ testTimeout: 600_000 })

const untilSent = ({ network, user }: VerdantClient, text: string) =>
  until(`${user} has sent it`, () => network.sent.some((message) => JSON.stringify(message).includes(text)))

const assertInOrder = Effect.fnUntraced(function* (database: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "replay")
  assert.strictEqual(exitCode, 0, stdout + stderr)
})

/** Syncs like the store, which acknowledges an answer before it has stored it. */
const acknowledge = {
  realtime: (library: Library, token: string, replica: Replica, since: string | null) =>
    Effect.gen(function* () {
      const connection = yield* connectVerdant(library, token)
      connection.send(replica.sync({ since }))
      const response = yield* connection.next("sync-resp")
      connection.send(replica.ack({ nonce: response["ackThisNonce"] }))
      yield* connection.settled
      yield* connection.close
      return response
    }),
  pull: (library: Library, token: string, replica: Replica, since: string | null) =>
    Effect.gen(function* () {
      const { messages } = yield* post(library, token, [replica.sync({ since })])
      const response = syncResponse({ messages })!
      yield* post(library, token, [replica.ack({ nonce: response["ackThisNonce"] })])
      return response
    })
}

describe.each(["realtime", "pull"] as const)(
  "a client that ends before it has stored an acknowledged answer (%s)",
  (by) => {
    it.live("the client receives those operations again, also from a restarted server", () =>
      Effect.gen(function* () {
        const database = yield* freshStorage
        const [writer, reader, witness] = [makeReplica(), makeReplica(), makeReplica()]
        const id = randomName()
        const start = Effect.gen(function* () {
          const library = libraryOn(yield* startServer({ database, verdant: { cursorInterval: "100 millis" } }), id)
          return { library, token: yield* library.token({ userId: "a" }) }
        })
        const since = yield* Effect.scoped(
          Effect.gen(function* () {
            const { library, token } = yield* start
            const polled = (replica: Replica, since: string | null) =>
              Effect.map(acknowledge.pull(library, token, replica, since), (response) =>
                String(response["ackedTimestamp"])
              )
            yield* post(library, token, [
              writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })
            ])
            const begun = yield* Effect.forEach([reader, witness], (replica) => polled(replica, null))
            const [since, other] = [yield* polled(reader, begun[0]!), yield* polled(witness, begun[1]!)]
            yield* post(library, token, [writer.op(writer.operation("item/x", set("content", "must not be lost")))])
            assert.include(JSON.stringify(yield* acknowledge[by](library, token, reader, since)), "must not be lost")
            // Once the log records the progress of the witness, it would record the reader's as well.
            yield* polled(witness, yield* polled(witness, other))
            yield* until(
              "the log records the progress of the witness",
              Effect.map(libraryInfo(database, library), (info) => {
                const received = info?.replicas.find(({ id }) => id === witness.id)?.received ?? 0
                return received > 0 && received >= info!.version - 1
              })
            )
            return since
          })
        )
        const { library, token } = yield* start
        const { messages } = yield* post(library, token, [reader.sync({ since })])
        assert.include(JSON.stringify(messages), "must not be lost")
      })
    )
  }
)

describe.each(["realtime", "pull"] as const)("restarts (%s)", (transport) => {
  it.live("an operation in flight at kill -9 is stored once, however often the client sends it", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Verdant kill -9 with TEST_SEED=${random.seed}`)
      const database = yield* freshStorage
      let server = yield* spawnServer(database)
      const { port } = server
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "shared" })
      yield* b.until("it has the item", (items) => items.length === 1)
      const written: Array<string> = []
      for (const round of Array.range(1, 3)) {
        for (const client of [a, b]) {
          const tag = `${client.user}, round ${round}`
          written.push(tag)
          yield* client.edit(id, (item) => item.get("tags").push(tag))
          yield* untilSent(client, tag)
        }
        // The kill hits anywhere between the send and the acknowledgement, or right after it.
        for (let turn = random.next(20); turn > 0; turn--) yield* Effect.yieldNow
        yield* server.kill
        for (const client of [a, b]) {
          const tag = `${client.user}, offline after round ${round}`
          written.push(tag)
          yield* client.edit(id, (item) => item.get("tags").push(tag))
        }
        server = yield* spawnServer(database, { port })
        for (const client of [a, b]) {
          yield* client.until("it has all", ([item]) => written.every((tag) => item?.tags.includes(tag)))
        }
      }
      const late = yield* openClient({ library, user: "late" })
      yield* late.until("it has the item", (items) => items.length === 1)
      const [item] = yield* untilSame([a, b, late])
      assert.deepStrictEqual(item?.tags.toSorted(), written.toSorted())
      assert.deepStrictEqual([a.resets(), b.resets()], [0, 0])
      yield* server.stop
      yield* assertInOrder(database)
    })
  )

  it.live("connected clients reconnect after a restart, and go on", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const first = yield* spawnServer(database)
      const library = libraryOn(first)
      const clients = yield* openClients(["a", "b", "c"], { library, transport })
      const [a, b] = clients
      const id = yield* a.put({ content: "before" })
      for (const client of clients) yield* client.until("it has the item", (items) => items.length === 1)
      yield* untilSame(clients)
      yield* first.stop
      for (const client of clients) yield* until(`${client.user} has noticed`, () => !client.isOnline())
      yield* b.edit(id, (item) => item.get("tags").push("while the server was down"))
      yield* spawnServer(database, { port: first.port })
      for (const client of clients) {
        yield* client.until("it has the offline change", ([item]) => item?.tags.length === 1)
      }
      for (const client of clients) {
        yield* client.edit(id, (item) => item.get("comments").push({ author: client.user, text: "" }))
      }
      for (const client of clients) yield* client.until("it has all", ([item]) => item?.comments.length === 3)
      yield* untilSame(clients)
      for (const client of clients) {
        const others = clients.filter((other) => other !== client).map(({ user }) => user)
        yield* until(`${client.user} sees all others`, () => others.every((user) => client.peers().includes(user)))
        assert.strictEqual(client.resets(), 0)
      }
    })
  )
})
