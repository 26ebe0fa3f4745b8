/** The database fails in several ways and comes back: the server acknowledges nothing that the database has not kept. */
import { assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { PgStorage } from "@sealog/storage-pg"
import { Array, Context, Deferred, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { vi } from "vitest"
import { connectRaw, openRaw } from "../support/clients/RawSecsync.ts"
import { makeRandom } from "../support/random.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertStored, begin, makeWriter, writeOn } from "../support/secsync/Writers.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { makeCluster } from "../support/storage/PostgresCluster.ts"

// Each test starts its own Postgres, and stops it several times.
vi.setConfig({ testTimeout: 600_000 })

/** A migrated Postgres for one test. */
const ownCluster = Effect.acquireRelease(
  Effect.promise(() => makeCluster()),
  (cluster) => Effect.sync(cluster.remove)
).pipe(Effect.tap(({ url }) => Effect.orDie(PgStorage.applyMigrations({ url }))))

const health = (url: string) =>
  Effect.tryPromise(async () => {
    const { status } = await fetch(`${url.replace("ws:", "http:")}/healthz`)
    return status
  }).pipe(
    // The server may close a kept connection at this moment.
    Effect.retry({ times: 2 }),
    Effect.orDie
  )

const untilHealth = (url: string, status: number) =>
  health(url).pipe(
    Effect.repeat({ schedule: Schedule.spaced("50 millis"), until: (now) => now === status }),
    Effect.timeoutOrElse({ duration: "2 minutes", orElse: () => Effect.die(new Error(`never ${status}`)) })
  )

describe("an unavailable database", () => {
  it.live(
    "a server that starts without its database refuses clients with 1013, reports 503, and recovers with the database",
    () =>
      Effect.gen(function* () {
        const cluster = yield* ownCluster
        cluster.stop("fast")
        const server = yield* spawnServer(cluster.url)
        assert.strictEqual(yield* health(server.url), 503)
        const options = { url: server.url, documentId: randomName(), token: yield* mintToken(randomName()) }
        const { closed } = yield* openRaw(options)
        assert.strictEqual((yield* closed).code, 1013)
        const command = yield* runCommand(cluster.url, "library", "list")
        assert.strictEqual(command.exitCode, 3)
        assert.strictEqual(JSON.parse(command.stdout).error.code, "STORAGE_UNAVAILABLE")

        const client = yield* connectClient(options)
        client.write("written during the outage")
        yield* Effect.sync(cluster.start)
        yield* untilHealth(server.url, 200)
        yield* client.until("it is stored", () => client.isSettled() && client.activeSnapshotId() !== undefined)
        const other = yield* connectClient(options)
        yield* other.until("it has it", () => other.list().length === 1)
      })
  )

  it.live("every acknowledged update is stored once and in order after each of several crashes under load", () =>
    Effect.gen(function* () {
      const random = makeRandom()
      console.log(`Postgres crashes with TEST_SEED=${random.seed}`)
      const cluster = yield* ownCluster
      const server = yield* startServer({ database: cluster.url })
      const libraryId = LibraryId.make(randomName())
      const token = yield* server.token(libraryId)
      const [shared, own] = [randomName(), randomName()]
      for (const documentId of [shared, own]) yield* begin(server.url, documentId, token)
      const writers = [shared, shared, own].map(makeWriter)
      for (const round of Array.range(1, 3)) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const enough = yield* Deferred.make<void>()
            let left = 20 + random.next(200)
            const onAcknowledged = () => {
              left -= 1
              if (left === 0) Deferred.doneUnsafe(enough, Effect.void)
            }
            const clients = yield* Effect.forEach(writers, (writer) =>
              writeOn(server.url, writer, token, onAcknowledged)
            )
            yield* Deferred.await(enough)
            yield* Effect.sync(() => cluster.stop("immediate"))
            for (const client of clients) assert.strictEqual((yield* client.closed).code, 1013)
            yield* untilHealth(server.url, 503)
          })
        )
        yield* Effect.sync(cluster.start)
        yield* untilHealth(server.url, 200)
        yield* assertStored(cluster.url, libraryId, writers, `round ${round}, seed ${random.seed}`)
      }
      // The server still serves the documents that it had open.
      for (const writer of writers) {
        const before = writer.acknowledged
        const done = yield* Deferred.make<void>()
        yield* writeOn(server.url, writer, token, () => {
          if (writer.acknowledged > before + 50) Deferred.doneUnsafe(done, Effect.void)
        })
        yield* Deferred.await(done)
      }
      const replayed = yield* runCommand(cluster.url, "replay")
      assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
    })
  )

  it.live("real clients reconnect after each restart of the database, go on, and converge", () =>
    Effect.gen(function* () {
      const cluster = yield* ownCluster
      const server = yield* startServer({ database: cluster.url })
      const options = { url: server.url, documentId: randomName(), token: yield* server.token(randomName()) }
      const clients = yield* Effect.all(Array.makeBy(3, () => connectClient(options)))
      yield* untilAll(clients, "all have loaded", (client) => client.isSettled())
      clients[0]?.write("the first")
      yield* untilAll(clients, "all have it", (client) => client.isSettled() && client.list().length === 1)
      let items = 1
      for (const mode of ["immediate", "fast"] as const) {
        while (items % 20 !== 0) clients[items++ % 3]?.write(`item ${items}`)
        yield* Effect.sync(() => {
          cluster.stop(mode)
          cluster.start()
        })
        clients[items++ % 3]?.write(`item ${items}`)
        yield* untilAll(
          clients,
          "all have all",
          (client) => client.isSettledOnActive() && client.list().length === items
        )
      }
      for (const client of clients) assert.deepStrictEqual(client.list(), clients[0]?.list())
      assert.strictEqual((yield* runCommand(cluster.url, "replay")).exitCode, 0)
    })
  )

  it.live(
    "a database that cuts connections only for signals loses nothing: clients of another process receive every update in order",
    () =>
      Effect.gen(function* () {
        const cluster = yield* ownCluster
        const [here, there] = [
          yield* startServer({ database: cluster.url }),
          yield* startServer({ database: cluster.url })
        ]
        const libraryId = LibraryId.make(randomName())
        const token = yield* here.token(libraryId)
        const documentId = randomName()
        yield* begin(here.url, documentId, token)
        const reader = yield* connectRaw({ url: there.url, documentId, token })
        const writer = makeWriter(documentId)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const enough = yield* Deferred.make<void>()
            yield* writeOn(here.url, writer, token, () => {
              if (writer.acknowledged === 1000) Deferred.doneUnsafe(enough, Effect.void)
            })
            const cut = terminate(cluster.url, "query ILIKE 'LISTEN%'")
            yield* Effect.forkScoped(Effect.repeat(cut, Schedule.spaced("100 millis")))
            yield* Deferred.await(enough)
          })
        )
        const clocks = () =>
          reader.frames
            .filter(({ type }) => type === "update")
            .map(({ publicData }) => (publicData as { readonly clock: number }).clock)
        yield* reader.next("update", () => clocks().length >= writer.acknowledged)
        assert.deepStrictEqual(
          clocks(),
          clocks().map((_, i) => i)
        )
      })
  )

  it.live("a server that shuts down while its database hangs ends, and acknowledges nothing that is not stored", () =>
    Effect.gen(function* () {
      const cluster = yield* ownCluster
      const server = yield* spawnServer(cluster.url)
      const options = { url: server.url, documentId: randomName(), token: yield* mintToken(randomName()) }
      const client = yield* connectClient(options)
      client.write("before")
      yield* client.until("it is acknowledged", client.isSettled)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* holdTable(cluster.url, "sealog.streams")
          client.write("while the database hangs")
          yield* server.stop
          assert.isFalse(client.isSettled())
        })
      )
      const back = yield* spawnServer(cluster.url, { port: server.port })
      yield* client.until("it is acknowledged", client.isSettled)
      const newcomer = yield* connectClient({ ...options, url: back.url })
      yield* newcomer.until("it has all", () => newcomer.list().length === 2)
    })
  )

  it.live("clients do not notice that the database cuts the server's connections", () =>
    Effect.gen(function* () {
      const cluster = yield* ownCluster
      const server = yield* startServer({ database: cluster.url })
      const libraryId = LibraryId.make(randomName())
      const token = yield* server.token(libraryId)
      const documentId = randomName()
      yield* begin(server.url, documentId, token)
      const reader = yield* connectRaw({ url: server.url, documentId, token })
      assert.strictEqual(reader.first.type, "document")
      assert.isAbove(yield* terminate(cluster.url), 0)
      const again = yield* connectRaw({ url: server.url, documentId, token })
      assert.strictEqual(again.first.type, "document")
      assert.isTrue(reader.isOpen())
    })
  )
})

/** Ends the server's connections to the database, and returns their number. */
const terminate = (url: string, which = "TRUE") =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql.unsafe(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'sealog' AND pid <> pg_backend_pid() AND ${which}`)
  ).pipe(
    Effect.map((rows) => rows.length),
    Effect.provide(PgStorage.layerClient({ url })),
    Effect.orDie
  )

/** Locks a table until the scope closes, so that no other connection reads or writes it. */
const holdTable = Effect.fnUntraced(function* (url: string, table: string) {
  const client = yield* Layer.build(PgStorage.layerClient({ url }))
  const sql = Context.get(client, SqlClient.SqlClient)
  const held = yield* Deferred.make<void>()
  const hold = sql
    .unsafe(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`)
    .pipe(Effect.andThen(Deferred.succeed(held, undefined)), Effect.andThen(Effect.never), sql.withTransaction)
  yield* Effect.forkScoped(hold)
  yield* Deferred.await(held)
}, Effect.orDie)
