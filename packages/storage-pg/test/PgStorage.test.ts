import { chmodSync, chownSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import {
  advance,
  EVICTED,
  emptyHead,
  type NewEvent,
  place,
  type StreamEvent,
  type StreamKey
} from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/ports/EventLog"
import { hashBytes, PayloadCodec } from "@sealog/server/storage"
import { Cause, Context, Effect, Exit, Fiber, Latch, Layer } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { generate } from "selfsigned"
import { emptyDatabase, freshDatabase } from "#test-support/storage/databases"
import { makeCluster } from "#test-support/storage/PostgresCluster"
import { PgStorage } from "../src/index.ts"
import { migrations } from "../src/Migrations.ts"

const payload = new TextEncoder().encode("sealed")
const update: NewEvent = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
const eviction: NewEvent = { type: EVICTED, data: {}, payloadHash: "", checkpoint: true }

const keyOf = (streamId: string): StreamKey => ({ libraryId: LibraryId.make("notes"), streamId })
const firstUpdate = (streamId: string): Append => {
  const key = keyOf(streamId)
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, update, "test", 1), payload }] }
}

const openLog = (url: string) =>
  Effect.map(Layer.build(PgStorage.layerWithoutMigrations({ url })), (services) => Context.get(services, EventLog))

const openSql = (url: string) =>
  Effect.map(Layer.build(PgStorage.layerClient({ url })), (services) => Context.get(services, SqlClient.SqlClient))

const as = (url: string, role: string): string => {
  const other = new URL(url)
  other.username = role
  return other.href
}

describe("migrations", () => {
  it.effect("are applied once, and reported as missing before", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      const status = (applied: boolean) => [
        { id: 1, name: "log", applied },
        { id: 2, name: "numbered_streams", applied }
      ]
      assert.deepStrictEqual(yield* PgStorage.readMigrationStatus({ url }), status(false))
      const refused = yield* Effect.flip(openLog(url))
      assert.match(refused.message, /lacks the migrations log, numbered_streams/)
      // As by several servers that migrate while they start.
      const applied = yield* Effect.all(
        [1, 2, 3].map(() => PgStorage.applyMigrations({ url })),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(applied.flat().length, 2)
      assert.deepStrictEqual(yield* PgStorage.readMigrationStatus({ url }), status(true))
      yield* (yield* openLog(url)).append([firstUpdate("welcome")])
    })
  )

  it.effect("of a newer version are not worked with", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      yield* PgStorage.applyMigrations({ url })
      yield* Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`INSERT INTO sealog.migrations (migration_id, name) VALUES (999, 'of_the_future')`
      ).pipe(Effect.provide(PgStorage.layerClient({ url })))
      const message = /a newer version of Sealog has migrated the database: this one does not know of_the_future/
      assert.match((yield* Effect.flip(openLog(url))).message, message)
      assert.match((yield* Effect.flip(PgStorage.applyMigrations({ url }))).message, message)
    })
  )

  it.effect(
    "number the streams of a log of the first version, and keep its events, payloads and the roles' rights",
    () =>
      Effect.gen(function* () {
        const url = yield* emptyDatabase
        const sql = yield* openSql(url)
        yield* sql`CREATE SCHEMA sealog`
        const { "0001_log": first } = migrations
        const loader = Migrator.fromRecord({ "0001_log": first })
        yield* Effect.provideService(
          Migrator.make({})({ loader, table: "sealog.migrations" }),
          SqlClient.SqlClient,
          sql
        )
        const role = `server_${crypto.randomUUID().slice(0, 8)}`
        yield* Effect.acquireRelease(sql.unsafe(`CREATE ROLE "${role}" LOGIN`), () =>
          Effect.orDie(Effect.andThen(sql.unsafe(`DROP OWNED BY "${role}"`), sql.unsafe(`DROP ROLE "${role}"`)))
        )
        yield* PgStorage.grant({ url }, role)
        const written = ["welcome", "another"].flatMap((streamId) => {
          const append = firstUpdate(streamId)
          const head = advance(emptyHead, append.events[0].event)
          const snapshot = place(
            append.key,
            head,
            { ...update, type: "SnapshotStored", data: { snapshotId: "a" }, uniqueKey: "a" },
            "test",
            2
          )
          return [append.events[0], { event: snapshot, payload }].map((placed) => ({ key: append.key, ...placed }))
        })
        for (const { event, key } of written) {
          const snapshotId = event.uniqueKey ?? null
          yield* sql`INSERT INTO sealog.events VALUES (${key.libraryId}, ${key.streamId}, ${event.version}, 0, ${event.type},
          ${JSON.stringify(event.data)}, ${hashBytes(event.payloadHash)}, ${hashBytes(event.chain)}, 'test',
          ${event.recordedAt}, false, ${snapshotId})`
          yield* sql`INSERT INTO sealog.payloads VALUES (${key.libraryId}, ${key.streamId}, ${event.version}, ${payload})`
          yield* sql`INSERT INTO sealog.streams VALUES
          (${key.libraryId}, ${key.streamId}, ${event.version}, 0, ${hashBytes(event.chain)}, 0, 1, 2)
          ON CONFLICT (library_id, stream_id) DO UPDATE SET version = excluded.version, chain = excluded.chain`
        }

        assert.deepStrictEqual(yield* PgStorage.applyMigrations({ url }), [[2, "numbered_streams"]])
        const log = yield* openLog(as(url, role))
        for (const streamId of ["welcome", "another"]) {
          const key = keyOf(streamId)
          const events = written.flatMap(({ key, ...placed }) => (key.streamId === streamId ? [placed] : []))
          assert.deepStrictEqual(yield* log.read(key, { after: 0 }), events)
          assert.deepStrictEqual(yield* log.held(key, 9), { payloads: 2, payloadBytes: 2 * payload.length })
          const head = advance(emptyHead, events[1]!.event)
          const next = place(key, head, update, "test", 3)
          const append = { key, expectedVersion: 2, events: [{ event: next, payload }] } as const
          assert.deepStrictEqual(yield* log.append([append]), [{ _tag: "Committed" }])
          assert.deepStrictEqual(yield* log.readKeyed(key, "a"), [])
        }
        assert.match(
          String((yield* Effect.flip(sql`DELETE FROM sealog.events`)).reason.cause),
          /events are never changed or deleted/
        )
      })
  )

  it.effect("make tables that can be distributed by library", () =>
    Effect.gen(function* () {
      const sql = yield* openSql(yield* freshDatabase)
      const keys = yield* sql<{ table: string; name: string; first: string }>`
        SELECT i.indrelid::regclass::text AS table, i.indexrelid::regclass::text AS name, a.attname AS first
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid::regclass::text LIKE 'sealog.%' AND i.indrelid <> 'sealog.migrations'::regclass`
      assert.sameMembers(
        [...new Set(keys.map(({ table }) => table))],
        ["sealog.streams", "sealog.events", "sealog.payloads"]
      )
      assert.isTrue(keys.every(({ first }) => first === "library_id"))
      const foreign =
        yield* sql`SELECT 1 FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text LIKE 'sealog.%'`
      const sequences = yield* sql`SELECT 1 FROM pg_sequences WHERE schemaname = 'sealog'`
      assert.deepStrictEqual([foreign, sequences], [[], []])
    })
  )
})

describe("a failed statement", () => {
  it.effect("is a defect when it does not fit the schema", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const log = yield* openLog(url)
      yield* (yield* openSql(url))`ALTER TABLE sealog.streams RENAME COLUMN generation TO something_else`
      for (const call of [log.heads([keyOf("welcome")]), log.append([firstUpdate("welcome")])]) {
        const exit = yield* Effect.exit<unknown, unknown, never>(call)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
    })
  )

  it.effect("is a defect when a row is damaged", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const log = yield* openLog(url)
      yield* log.append([firstUpdate("welcome")])
      const sql = yield* openSql(url)
      yield* sql`ALTER TABLE sealog.events DISABLE TRIGGER ALL`
      yield* sql`UPDATE sealog.events SET data = '{'`
      const exit = yield* Effect.exit(log.read(keyOf("welcome"), { after: 0 }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  for (const [how, end] of [
    ["is cancelled", "pg_cancel_backend"],
    ["loses its connection", "pg_terminate_backend"]
  ] as const) {
    it.live(`is an outage when it ${how}, and the next append succeeds`, () =>
      Effect.gen(function* () {
        const url = yield* freshDatabase
        const log = yield* openLog(url)
        const [holder, other] = [yield* openSql(url), yield* openSql(url)]
        yield* log.heads([keyOf("welcome")])
        const failing = yield* Latch.make()
        const held = yield* Latch.make()
        const hold = holder`LOCK TABLE sealog.streams IN ACCESS EXCLUSIVE MODE`.pipe(
          Effect.andThen(Effect.andThen(held.open, failing.await)),
          holder.withTransaction
        )
        yield* Effect.forkScoped(hold)
        yield* held.await
        const waiting = yield* Effect.forkChild(Effect.flip(log.append([firstUpdate("welcome")])))
        const ended = other.unsafe(`SELECT ${end}(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'`)
        yield* Effect.repeat(ended, { until: (rows) => rows.length > 0 })
        assert.strictEqual((yield* Fiber.join(waiting))._tag, "StorageUnavailable")
        yield* failing.open
        assert.deepStrictEqual(yield* log.append([firstUpdate("welcome")]), [{ _tag: "Committed" }])
      })
    )
  }
})

describe("the payload codec", () => {
  it.effect("makes the bytes that are stored", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const invert = (_: StreamKey, __: StreamEvent, bytes: Uint8Array) => bytes.map((byte) => byte ^ 255)
      const codec = Layer.succeed(PayloadCodec, { pack: invert, unpack: invert })
      const storage = PgStorage.layerWithoutMigrations({ url }).pipe(Layer.provide(codec))
      const log = Context.get(yield* Layer.build(storage), EventLog)
      const append = firstUpdate("welcome")
      yield* log.append([append])
      assert.deepStrictEqual(yield* log.read(append.key, { after: 0 }), append.events)
      const [row] = yield* (yield* openSql(url))<{
        hex: string
      }>`SELECT encode(payload, 'hex') AS hex FROM sealog.payloads`
      assert.strictEqual(row?.hex, Buffer.from(payload.map((byte) => byte ^ 255)).toString("hex"))
    })
  )
})

describe("rights", () => {
  it.effect("let a server's role read, append and evict, and change neither tables nor events", () =>
    Effect.gen(function* () {
      const url = yield* emptyDatabase
      const [owner, server] = ["owner", "server"].map((name) => `${name}_${crypto.randomUUID().slice(0, 8)}`) as [
        string,
        string
      ]
      const superuser = yield* openSql(url)
      yield* Effect.acquireRelease(
        Effect.gen(function* () {
          yield* superuser.unsafe(`CREATE ROLE "${owner}" LOGIN`)
          yield* superuser.unsafe(`CREATE ROLE "${server}" LOGIN`)
          yield* superuser.unsafe(`GRANT CREATE ON DATABASE "${new URL(url).pathname.slice(1)}" TO "${owner}"`)
        }),
        () =>
          Effect.orDie(
            Effect.andThen(
              superuser.unsafe(`DROP OWNED BY "${owner}", "${server}"`),
              superuser.unsafe(`DROP ROLE "${owner}", "${server}"`)
            )
          )
      )
      yield* PgStorage.applyMigrations({ url: as(url, owner) })
      yield* PgStorage.grant({ url: as(url, owner) }, server)

      const log = yield* openLog(as(url, server))
      const first = firstUpdate("welcome")
      const head = advance(emptyHead, first.events[0].event)
      const evicted = place(first.key, head, eviction, "test", 2)
      assert.deepStrictEqual(yield* log.append([first]), [{ _tag: "Committed" }])
      assert.deepStrictEqual(
        yield* log.append([
          { key: first.key, expectedVersion: 1, events: [{ event: evicted, payload: null }], purgeBefore: 2 }
        ]),
        [{ _tag: "Committed" }]
      )
      assert.deepStrictEqual(yield* log.held(first.key, 3), { payloads: 0, payloadBytes: 0 })
      assert.deepStrictEqual(
        (yield* PgStorage.readMigrationStatus({ url: as(url, server) })).map(({ applied }) => applied),
        [true, true]
      )

      const sql = yield* openSql(as(url, server))
      for (const statement of [
        "UPDATE sealog.events SET origin = 'another'",
        "DELETE FROM sealog.events",
        "TRUNCATE sealog.events",
        "DELETE FROM sealog.streams",
        "UPDATE sealog.payloads SET payload = ''",
        "ALTER TABLE sealog.events ADD COLUMN more text",
        "ALTER TABLE sealog.events DISABLE TRIGGER ALL",
        "DROP TABLE sealog.payloads",
        "CREATE TABLE sealog.more (id int)",
        "DELETE FROM sealog.migrations"
      ]) {
        const error = yield* Effect.flip(sql.unsafe(statement))
        assert.strictEqual(error.reason._tag, "AuthorizationError", statement)
      }
    })
  )

  it.effect("let no role change or delete an event, not even the tables' owner", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      yield* (yield* openLog(url)).append([firstUpdate("welcome")])
      const sql = yield* openSql(url)
      for (const statement of [
        "UPDATE sealog.events SET origin = 'another'",
        "DELETE FROM sealog.events",
        "TRUNCATE sealog.events"
      ]) {
        const error = yield* Effect.flip(sql.unsafe(statement))
        assert.match(String(error.reason.cause), /events are never changed or deleted/, statement)
      }
    })
  )
})

describe("many writers", () => {
  it.live("append to the same streams in any order without a deadlock", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const logs = yield* Effect.all([1, 2, 3, 4].map(() => openLog(url)))
      const names = Array.from({ length: 30 }, (_, i) => `stream-${i}`)
      let heads = names.map(() => emptyHead)
      for (let round = 0; round < 10; round++) {
        const batches = logs.map((_, writer) =>
          names
            .map((name, i): Append => {
              const key = keyOf(name)
              const event = place(key, heads[i]!, update, `writer ${writer}`, 1)
              return { key, expectedVersion: heads[i]!.version, events: [{ event, payload }] }
            })
            // Each writer starts at another stream, and every second one goes backwards.
            .toSorted((a, b) => (writer % 2 === 0 ? 1 : -1) * (orderOf(a, writer) - orderOf(b, writer)))
        )
        const results = yield* Effect.forEach(
          logs,
          (log, writer) => log.append(batches[writer] as [Append, ...Array<Append>]),
          { concurrency: "unbounded" }
        )
        const winners = results.flatMap((result, writer) =>
          result.flatMap(({ _tag }, i) => (_tag === "Committed" ? batches[writer]![i]!.key.streamId : []))
        )
        assert.sameMembers(winners, names, `round ${round}`)
        heads = [...(yield* logs[0]!.heads(names.map(keyOf)))]
        assert.isTrue(heads.every(({ version }) => version === round + 1))
      }
    })
  )
})

const orderOf = ({ key }: Append, writer: number): number => (Number(key.streamId.slice(7)) + 7 * writer) % 30

describe("a process that holds a stream and does nothing", () => {
  it.live("loses the stream, so that the others go on", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [frozen, other] = [yield* openLog(url), yield* openLog(url)]
      const first = firstUpdate("welcome")
      yield* other.append([first])
      const holds = yield* Latch.make()
      const holding = yield* Effect.forkChild(
        Effect.exit(frozen.exclusively(first.key, Effect.andThen(holds.open, Effect.never)))
      )
      yield* holds.await
      const head = first.events[0].event
      const event = place(first.key, advance(emptyHead, head), update, "other", 2)
      const next: Append = { key: first.key, expectedVersion: 1, events: [{ event, payload }] }
      assert.deepStrictEqual(yield* other.append([next]), [{ _tag: "Committed" }])
      assert.isUndefined(holding.pollUnsafe())
      yield* Fiber.interrupt(holding)
      assert.deepStrictEqual((yield* frozen.heads([first.key]))[0]?.version, 2)
    })
  )
})

describe("a stream that another writer holds", () => {
  it.live("can be left: the other appends of the batch are stored", () =>
    Effect.gen(function* () {
      const url = yield* freshDatabase
      const [holder, other] = [yield* openLog(url), yield* openLog(url)]
      const [held, free] = [firstUpdate("held"), firstUpdate("free")]
      yield* other.append([held, free])
      const next = ({ events, key }: Append): Append => {
        const event = place(key, advance(emptyHead, events[0].event), update, "other", 2)
        return { key, expectedVersion: 1, events: [{ event, payload }] }
      }
      const batch = [next(held), firstUpdate("new"), next(free)] as const
      const leaving = Effect.suspend(() => other.append(batch, { leaveHeld: true }))
      const committed = { _tag: "Committed" } as const
      assert.deepStrictEqual(yield* holder.exclusively(held.key, leaving), [{ _tag: "Held" }, committed, committed])
      assert.deepStrictEqual(yield* leaving, [
        committed,
        { _tag: "Conflict", actualVersion: 1 },
        { _tag: "Conflict", actualVersion: 2 }
      ])
    })
  )
})

describe("durability", () => {
  it.live("an append is on the disk when it returns, also in a database that is set to acknowledge earlier", () =>
    Effect.gen(function* () {
      const cluster = yield* Effect.acquireRelease(
        // Nothing else writes to the log, and Postgres flushes commits only every ten seconds.
        Effect.promise(() =>
          makeCluster({
            settings: {
              ...{ synchronous_commit: "off", wal_writer_delay: "10s", autovacuum: "off" },
              ...{ wal_level: "minimal", max_wal_senders: "0" }
            }
          })
        ),
        (cluster) => Effect.sync(cluster.remove)
      )
      const { url } = cluster
      yield* PgStorage.applyMigrations({ url })
      const log = yield* openLog(url)
      const sql = yield* openSql(url)
      const lag = Effect.map(
        sql<{ bytes: number }>`SELECT (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::float8 AS bytes`,
        ([row]) => row?.bytes
      )
      yield* sql`CREATE TABLE other (id int)`
      // Under these settings, an ordinary commit does not reach the disk at once.
      const commit = Effect.andThen(sql`INSERT INTO other VALUES (1)`, lag)
      yield* Effect.repeat(commit, { until: (bytes) => bytes !== 0 })
      yield* log.append([firstUpdate("welcome")])
      assert.strictEqual(yield* lag, 0)
    })
  )
})

describe("an append", () => {
  it.live("to many streams is one statement, and therefore one round trip", () =>
    Effect.gen(function* () {
      const cluster = yield* Effect.acquireRelease(
        Effect.promise(() => makeCluster({ settings: { log_statement: "all" } })),
        (cluster) => Effect.sync(cluster.remove)
      )
      const { url } = cluster
      yield* PgStorage.applyMigrations({ url })
      const log = yield* openLog(url)
      const statements = () =>
        readFileSync(join(cluster.folder, "log"), "utf8").match(/LOG: {2}(statement|execute .*):/g)?.length ?? 0
      const append = (prefix: string) =>
        log.append([firstUpdate(prefix), ...Array.from({ length: 200 }, (_, i) => firstUpdate(`${prefix}-${i}`))])
      // Opens the connection.
      yield* append("first")
      const before = statements()
      assert.isAbove(before, 0)
      const results = yield* append("second")
      assert.isTrue(results.every(({ _tag }) => _tag === "Committed"))
      assert.strictEqual(statements() - before, 1)
    })
  )
})

describe("TLS", () => {
  it.live("follows the URL, and checks the certificate against the authority that the URL names", () =>
    Effect.gen(function* () {
      const authority = yield* Effect.promise(() => certificate("an authority of this test"))
      const stranger = yield* Effect.promise(() => certificate("somebody else"))
      const cluster = yield* Effect.acquireRelease(
        Effect.promise(() => makeCluster()),
        (cluster) => Effect.sync(cluster.remove)
      )
      const file = (name: string, text: string) => {
        const path = join(cluster.folder, name)
        writeFileSync(path, text)
        chmodSync(path, 0o600)
        if (process.getuid?.() === 0) chownSync(path, 65_534, 65_534)
        return path
      }
      const [ca, other] = [file("ca.pem", authority.cert), file("other.pem", stranger.cert)]
      const key = file("key.pem", authority.private)
      const sql = yield* openSql(cluster.url)
      yield* sql.unsafe(`ALTER SYSTEM SET ssl_cert_file = '${ca}'`)
      yield* sql.unsafe(`ALTER SYSTEM SET ssl_key_file = '${key}'`)
      yield* sql.unsafe("ALTER SYSTEM SET ssl = on")
      yield* Effect.sync(() => {
        cluster.stop("fast")
        cluster.start()
      })
      const isEncrypted = (query: string, host = "localhost") => {
        const url = new URL(cluster.url)
        url.hostname = host
        url.search = query
        return Effect.flatMap(openSql(url.href), (sql) =>
          Effect.map(
            sql<{ ssl: boolean }>`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`,
            ([row]) => row?.ssl
          )
        )
      }
      assert.isFalse(yield* isEncrypted("sslmode=disable"))
      assert.isTrue(yield* isEncrypted(`sslmode=verify-full&sslrootcert=${encodeURIComponent(ca)}`))
      assert.isTrue(yield* isEncrypted(`sslmode=verify-ca&sslrootcert=${encodeURIComponent(ca)}`, "127.0.0.1"))
      for (const [query, host] of [
        ["sslmode=require", "localhost"],
        [`sslmode=verify-full&sslrootcert=${encodeURIComponent(other)}`, "localhost"],
        [`sslmode=verify-full&sslrootcert=${encodeURIComponent(ca)}`, "127.0.0.1"]
      ] as const) {
        assert.strictEqual((yield* Effect.exit(isEncrypted(query, host)))._tag, "Failure", query)
      }
      const missing = yield* Effect.flip(isEncrypted("sslmode=verify-full&sslrootcert=/not/there.pem"))
      assert.match(String(missing), /no such file/)
    })
  )
})

const certificate = (name: string) =>
  generate([{ name: "commonName", value: name }], {
    keySize: 2048,
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }
    ]
  })
