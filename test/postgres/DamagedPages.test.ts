/** Pages of a Postgres database that a disk has emptied, has written by half, or has put back as they were before. */
import { execFileSync } from "node:child_process"
import { readFileSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { PgStorage } from "@sealog/storage-pg"
import { Array, Cause, Effect, Exit, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { vi } from "vitest"
import { connectRaw, openRaw } from "../support/clients/RawSecsync.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { openWhole, storeDocuments } from "../support/secsync/wholeDocuments.ts"
import { mintToken, runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName, startServer } from "../support/servers/TestServer.ts"
import { overwrite } from "../support/storage/damage.ts"
import { makeCluster, type PostgresCluster, type PostgresOptions } from "../support/storage/PostgresCluster.ts"

// Postgres is started for each page.
vi.setConfig({ testTimeout: 600_000 })

const PAGE_BYTES = 8192
const DOCUMENTS = 4

/** A migrated cluster of a test's own. */
const ownCluster = (options: PostgresOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => makeCluster({ settings: { autovacuum: "off" }, ...options })),
    (cluster) => Effect.sync(cluster.remove)
  ).pipe(Effect.tap(({ url }) => Effect.orDie(PgStorage.applyMigrations({ url }))))

/** Stores some documents by a server that ends. */
const writeDocuments = (database: string) =>
  Effect.scoped(Effect.flatMap(startServer({ database }), (server) => storeDocuments(server, DOCUMENTS)))

type Documents = ReadonlyArray<Effect.Success<ReturnType<typeof writeDocuments>>[number]>

/** The tables of the log and their indexes, with their files. */
const filesOf = ({ data, url }: PostgresCluster) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<{ name: string; path: string }>`
      SELECT c.relname AS name, pg_relation_filepath(c.oid) AS path FROM pg_class c
      WHERE c.relnamespace = 'sealog'::regnamespace AND c.relkind IN ('r', 'i') ORDER BY c.relname`
  ).pipe(
    Effect.map((files) => files.map(({ name, path }) => ({ name, file: join(data, path) }))),
    Effect.provide(PgStorage.layerClient({ url })),
    Effect.orDie
  )

/** Starts Postgres and a server, opens all documents, and stops both. Asserts that nothing is served that is not as it was written. */
const look = Effect.fnUntraced(function* (cluster: PostgresCluster, documents: Documents, what: string) {
  const outcomes = { whole: 0, closed: 0, refused: 0 }
  cluster.start()
  yield* Effect.scoped(
    Effect.gen(function* () {
      const started = yield* Effect.exit(startServer({ database: cluster.url }))
      if (Exit.isFailure(started)) {
        outcomes.refused += 1
        return assert.match(Cause.pretty(started.cause), /The log is damaged/, what)
      }
      for (const { options } of documents) {
        outcomes[yield* openWhole({ ...options, url: started.value.url }, what)] += 1
      }
    }).pipe(Effect.provide(Logger.layer([])))
  )
  cluster.stop("immediate")
  return outcomes
})

const sum = (all: ReadonlyArray<{ whole: number; closed: number; refused: number }>) =>
  JSON.stringify({
    whole: all.reduce((count, { whole }) => count + whole, 0),
    closed: all.reduce((count, { closed }) => count + closed, 0),
    refused: all.reduce((count, { refused }) => count + refused, 0)
  })

/** Puts the folder of the data back as it was when this was called. Postgres must not run. */
const keepData = ({ data }: PostgresCluster) => {
  // Not `cpSync`: the files belong to the user that runs Postgres.
  const copy = (from: string, to: string) => execFileSync("cp", ["-a", from, to])
  copy(data, `${data}.kept`)
  return () => {
    rmSync(data, { recursive: true })
    copy(`${data}.kept`, data)
  }
}

describe("a page of a table or an index of Postgres", () => {
  it.live.each([
    ["emptied", "without checksums", "--no-data-checksums", 0],
    ["written by half", "with checksums", "--data-checksums", PAGE_BYTES / 2]
  ] as const)(
    "that was %s %s is served whole, closes its documents with 1011, or keeps the server from its start",
    ([kind, checksums, option, from]) =>
      Effect.gen(function* () {
        const cluster = yield* ownCluster({ initdb: [option] })
        const documents = yield* writeDocuments(cluster.url)
        const files = yield* filesOf(cluster)
        cluster.stop("fast")
        const putBack = keepData(cluster)
        const outcomes = []
        for (const { file, name } of files) {
          for (const page of Array.range(0, statSync(file).size / PAGE_BYTES - 1)) {
            putBack()
            overwrite(file, page * PAGE_BYTES + from, new Uint8Array(PAGE_BYTES - from))
            outcomes.push(yield* look(cluster, documents, `page ${page} of ${name}`))
          }
        }
        assert.isTrue(outcomes.some(({ closed }) => closed > 0))
        assert.isTrue(outcomes.some(({ refused }) => refused > 0))
        console.log(`${outcomes.length} pages ${kind}, ${checksums}: ${sum(outcomes)}`)
      })
  )

  it.live("that lost its last writes hides no document", () =>
    Effect.gen(function* () {
      const cluster = yield* ownCluster()
      const before = yield* writeDocuments(cluster.url)
      const files = yield* filesOf(cluster)
      cluster.stop("fast")
      const old = new Map(files.map(({ file }) => [file, readFileSync(file)]))
      cluster.start()
      const documents = [...before, ...(yield* writeDocuments(cluster.url))]
      cluster.stop("fast")
      const putBack = keepData(cluster)
      const outcomes = []
      for (const { file, name } of files) {
        putBack()
        overwrite(file, 0, old.get(file)!)
        outcomes.push(yield* look(cluster, documents, `${name} as it was`))
      }
      console.log(`${outcomes.length} files without their last writes: ${sum(outcomes)}`)
    })
  )

  it.live("that emptied the list of streams under a server hides no document, and is taken for no restored log", () =>
    Effect.gen(function* () {
      const cluster = yield* ownCluster()
      const documents = yield* writeDocuments(cluster.url)
      const { file } = (yield* filesOf(cluster)).find(({ name }) => name === "streams")!
      const server = yield* startServer({ database: cluster.url })
      // The server has compared the library with its list, and has a room of the first document.
      const [first] = documents
      yield* connectRaw({ ...first!.options, url: server.url })
      yield* connectRaw({ ...first!.options, url: server.url, documentId: randomName() })
      const count = countEvents(cluster.url)
      const before = yield* count
      cluster.stop("fast")
      overwrite(file, 0, new Uint8Array(statSync(file).size))
      cluster.start()
      for (const { options } of documents) {
        const open = Effect.gen(function* () {
          const client = yield* openRaw({ ...options, url: server.url })
          const document = Effect.map(client.next("document"), ({ snapshot }) => snapshot !== undefined)
          return yield* Effect.raceFirst(
            document,
            Effect.map(client.closed, ({ code }) => code)
          )
        })
        // Postgres takes a moment to start, and the server notices only then that its open document is hidden.
        const seen = yield* Effect.repeat(Effect.scoped(open), { while: (seen) => seen === 1013 || seen === true })
        assert.strictEqual(seen, 1011)
      }
      assert.strictEqual(yield* count, before)
    })
  )

  it.live("that emptied the list of streams is named by doctor, and an index that was damaged is made again", () =>
    Effect.gen(function* () {
      const cluster = yield* ownCluster()
      const documents = yield* writeDocuments(cluster.url)
      const files = new Map((yield* filesOf(cluster)).map(({ file, name }) => [name, file]))
      cluster.stop("fast")
      const putBack = keepData(cluster)
      const failures = Effect.map(runCommand(cluster.url, "doctor", "--port", "1"), ({ stdout }) =>
        (JSON.parse(stdout) as { findings: ReadonlyArray<Record<string, string>> }).findings.filter(
          ({ check, state }) => state === "fail" && check !== "port"
        )
      )
      const damage = (name: string) => {
        putBack()
        overwrite(files.get(name)!, statSync(files.get(name)!).size - PAGE_BYTES, new Uint8Array(PAGE_BYTES))
        cluster.start()
      }
      damage("streams")
      const [found] = (yield* failures).filter(({ check }) => check === "streams")
      assert.match(found?.["detail"] ?? "", /the list lacks streams that have events: 1 of /)
      assert.match(found?.["tryThis"] ?? "", /REINDEX TABLE sealog.streams.*put a backup back/)
      cluster.stop("immediate")

      damage("events_pkey")
      assert.isNotEmpty(yield* failures)
      yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`REINDEX TABLE sealog.events`).pipe(
        Effect.provide(PgStorage.layerClient({ url: cluster.url })),
        Effect.orDie
      )
      assert.isEmpty(yield* failures)
      cluster.stop("fast")
      assert.strictEqual((yield* look(cluster, documents, "after REINDEX")).whole, DOCUMENTS)

      damage("migrations")
      const migrations = yield* runCommand(cluster.url, "migrate")
      assert.strictEqual(JSON.parse(migrations.stdout).error.code, "LOG_DAMAGED", migrations.stdout)
    })
  )
})

describe("a write-ahead log of Postgres that a power cut tore", () => {
  it.live("costs the updates after the tear, which the clients bring back", () =>
    Effect.gen(function* () {
      // No page is written before the write-ahead log that it follows from.
      const cluster = yield* ownCluster({ settings: { autovacuum: "off", bgwriter_lru_maxpages: "0" } })
      const server = yield* spawnServer(cluster.url)
      const options = { url: server.url, documentId: randomName(), token: yield* mintToken(randomName()) }
      const clients = [yield* connectClient(options), yield* connectClient(options)]
      const write = Effect.fnUntraced(function* (count: number) {
        for (let i = clients[0]!.list().length; i < count; i += 1) {
          clients[i % 2]!.write(`item ${i}`)
          yield* untilAll(clients, `all have item ${i}`, (one) => one.isSettledOnActive() && one.list().length > i)
        }
      })
      yield* write(3)
      const [torn] = yield* Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql<{ file: string; at: number }>`SELECT file_name AS file, file_offset AS at
          FROM pg_walfile_name_offset(pg_current_wal_flush_lsn())`
      ).pipe(Effect.provide(PgStorage.layerClient({ url: cluster.url })), Effect.orDie)
      yield* write(9)
      const before = yield* countEvents(cluster.url, "UpdateStored")
      cluster.stop("immediate")
      overwrite(join(cluster.data, "pg_wal", torn!.file), torn!.at, new Uint8Array(PAGE_BYTES))
      cluster.start()
      const lost = before - (yield* countEvents(cluster.url, "UpdateStored"))
      assert.isAbove(lost, 0)
      yield* write(10)
      const newcomer = yield* connectClient(options)
      yield* newcomer.until("a newcomer has all", () => newcomer.list().length === 10)
      const replayed = yield* runCommand(cluster.url, "replay")
      assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
      console.log(`The tear cost ${lost} acknowledged updates, which came back`)
    })
  )
})

/** The number of events in the log, or of those of a type. */
const countEvents = (url: string, type = "%") =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<{ events: number }>`SELECT count(*)::float8 AS events FROM sealog.events WHERE type LIKE ${type}`
  ).pipe(
    Effect.map(([row]) => row!.events),
    Effect.provide(PgStorage.layerClient({ url })),
    Effect.orDie
  )
