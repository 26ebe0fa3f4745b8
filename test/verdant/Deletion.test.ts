/** A library that was deleted for good takes nothing of its clients, and its files are gone. */
import { readdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import * as Deletion from "@sealog/server/admin/Deletion"
import { DELETED } from "@sealog/server/domain/Stream"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Array, Context, Deferred, Effect, Fiber, Layer } from "effect"
import { inject } from "vitest"
import { connectVerdant, post, refusedUpgrade, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { makeRandom } from "../support/random.ts"
import { runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"
import { freshDirectory } from "../support/verdant/shards.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

describe("deletion for good", () => {
  it.live("clients of a deleted library keep their data, and bring nothing back until it is allowed", () =>
    Effect.gen(function* () {
      const directory = yield* freshDirectory
      const blobs = Layer.orDie(layerFileSystem({ directory }))
      const server = yield* startServer({ blobs })
      // Postgres has several processes; the other one hears of the deletion by a signal.
      const other = inject("storage") !== "SQLite" ? yield* startServer({ blobs, database: server.database }) : server
      const library = libraryOn(server)
      const elsewhere = { ...libraryOn(other), id: library.id }
      const [a, b] = yield* openClients(["a", "b"], { library })
      yield* a.put({ content: "from a", image: new File(["a picture"], "picture.txt", { type: "text/plain" }) })
      yield* b.put({ content: "from b" })
      yield* untilSame([a, b])
      yield* until("the file is stored", () => filesIn(directory).length === 1)
      const raw = yield* connectVerdant(elsewhere, yield* server.token(library.id))
      yield* registerReplica(raw, makeReplica())

      const remove = Deletion.deleteForGood({ libraryId: library.id })
      const deleted = yield* remove.pipe(Effect.provide([layerOf(server.database), blobs]), Effect.orDie)
      assert.deepStrictEqual(
        deleted.map(({ documentId, files }) => [documentId, files]),
        [[VERDANT, 1]]
      )
      assert.strictEqual((yield* raw.closed).code, 4404)
      assert.deepStrictEqual(filesIn(directory), [])
      const token = yield* server.token(library.id)
      assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), 403)
      const poll = yield* post(library, yield* server.token(library.id, { type: "push" }), [makeReplica().sync({})])
      assert.strictEqual(poll.status, 403)
      yield* a.put({ content: "from a, afterwards" })
      const replayed = yield* runCommand(server.database, "replay", "--library", library.id)
      assert.strictEqual(JSON.parse(replayed.stdout).problemCount, 0, replayed.stdout)
      assert.isFalse(replayed.stdout.includes("OperationsStored"))

      yield* Deletion.allowAgain({ libraryId: library.id }).pipe(Effect.provide(layerOf(server.database)), Effect.orDie)
      const late = yield* openClient({ library, user: "late" })
      yield* late.put({ content: "new" })
      yield* late.until("it goes on", (items) => contents(items).includes("new"))
      const again = yield* runCommand(server.database, "replay", "--library", library.id)
      assert.strictEqual(JSON.parse(again.stdout).problemCount, 0, again.stdout)
    })
  )
})

/** Libraries that are deleted while devices write to them. Each deletion waits for the sweep of the servers, so they are at once. */
const LIBRARIES = 8
/** Operations that a device has in flight. */
const AHEAD = 8

describe("a write beside the deletion of its library", () => {
  it.live("is stored before the deletion, or is not acknowledged", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Verdant writes beside deletions with TEST_SEED=${random.seed}`)
      const database = yield* freshStorage
      const servers = yield* Effect.all(
        Array.makeBy(inject("storage") === "SQLite" ? 1 : 2, () => spawnServer(database)),
        {
          concurrency: "unbounded"
        }
      )
      const services = yield* Effect.orDie(Layer.build(layerOf(database)))
      const log = Context.get(services, EventLog)
      const deleteBesideWriters = Effect.fnUntraced(function* () {
        const [library, elsewhere] = [libraryOn(servers[0]!), libraryOn(servers.at(-1)!)]
        const there = { ...elsewhere, id: library.id }
        const enough = yield* Deferred.make<void>()
        let left = 1 + random.next(120)
        const onAcknowledged = () => {
          left -= 1
          if (left === 0) Deferred.doneUnsafe(enough, Effect.void)
        }
        const poller = yield* registerPoller(library, onAcknowledged)
        const writers = [
          yield* writeOn(library, onAcknowledged),
          yield* writeOn({ ...there, token: library.token }, onAcknowledged)
        ]
        const polling = yield* Effect.forkChild(poller.goOn)
        yield* Deferred.await(enough)
        yield* Effect.orDie(Effect.provide(Deletion.deleteForGood({ libraryId: library.id }), services))
        // A process that had not read the last events before the deletion opens the library again, and refuses those who come back.
        for (const { closed } of writers) assert.include([4404, 1013], (yield* closed).code)
        assert.strictEqual(yield* refusedUpgrade(there, ["Bearer", yield* library.token({ userId: "a" })]), 403)
        yield* Fiber.join(polling)

        const placed = yield* Effect.orDie(log.read({ libraryId: library.id, streamId: VERDANT }, { after: 0 }))
        assert.strictEqual(placed.at(-1)?.event.type, DELETED)
        assert.isTrue(placed.every(({ payload }) => payload === null))
        return [...writers, poller].map(({ acknowledged, replicaId, sent }) => {
          const stored = placed.reduce((sum, { event }) => {
            const data = event.data as { readonly replicaId: string; readonly operations: number }
            return event.type === "OperationsStored" && data.replicaId === replicaId ? sum + data.operations : sum
          }, 0)
          assert.isAtLeast(stored, acknowledged())
          assert.isAtMost(stored, sent())
          return { acknowledged: acknowledged(), refused: sent() - stored }
        })
      }, Effect.scoped)
      const counts = yield* Effect.all(Array.makeBy(LIBRARIES, deleteBesideWriters), { concurrency: "unbounded" })
      const sum = (of: "acknowledged" | "refused") => counts.flat().reduce((total, count) => total + count[of], 0)
      console.log(`${LIBRARIES} deletions: ${sum("acknowledged")} acknowledged before them, ${sum("refused")} refused`)
      const replayed = yield* runCommand(database, "replay")
      assert.strictEqual(JSON.parse(replayed.stdout).problemCount, 0, replayed.stdout)
    })
  )
})

/** A device that keeps some operations in flight for as long as its connection is open. */
const writeOn = Effect.fnUntraced(function* (library: Library, onAcknowledged: () => void) {
  const replica = makeReplica()
  const connection = yield* connectVerdant(library, yield* library.token({ userId: replica.id }))
  yield* registerReplica(connection, replica)
  const sent: Array<string> = []
  let acknowledged = 0
  const send = () => {
    const operation = replica.operation(`item/${crypto.randomUUID()}`, initialize({}))
    sent.push(operation.timestamp)
    connection.send(replica.op(operation))
  }
  connection.onMessage(({ timestamp, type }) => {
    if (type !== "server-ack") return
    while (acknowledged < sent.length && sent[acknowledged]! <= String(timestamp)) {
      acknowledged += 1
      onAcknowledged()
      if (connection.isOpen()) send()
    }
  })
  for (let i = 0; i < AHEAD; i++) send()
  return { replicaId: replica.id, closed: connection.closed, sent: () => sent.length, acknowledged: () => acknowledged }
})

/** A device that polls: the effect that it returns sends an operation with each request, until the library is deleted. */
const registerPoller = Effect.fnUntraced(function* (library: Library, onAcknowledged: () => void) {
  const replica = makeReplica()
  const token = yield* library.token({ userId: replica.id, type: "push" })
  assert.isDefined(syncResponse(yield* post(library, token, [replica.sync({ resyncAll: true })])))
  let [sent, acknowledged] = [0, 0]
  const goOn = Effect.gen(function* () {
    while (true) {
      const operation = replica.operation(`item/${crypto.randomUUID()}`, initialize({}))
      const { status } = yield* post(library, token, [replica.op(operation)])
      if (status === 403) return
      sent += 1
      if (status === 200) {
        acknowledged += 1
        onAcknowledged()
      } else assert.strictEqual(status, 503)
    }
  })
  return { replicaId: replica.id, goOn, sent: () => sent, acknowledged: () => acknowledged }
})

const filesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => /^[^.].*[/]/.test(name))
