import { copyFileSync, mkdtempSync, renameSync, rmSync, statSync, utimesSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, place, type StreamEvent, type StreamKey } from "@sealog/server/domain/Stream"
import { type Append, EventLog, type StorageUnavailable } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { hashBytes, PayloadCodec } from "@sealog/server/storage"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, Queue, Scope, Stream } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { SqliteStorage } from "../src/index.ts"
import { migrate, migrations } from "../src/Migrations.ts"
import { makeEventLog } from "../src/SqliteEventLog.ts"

const freshFile = () => join(mkdtempSync(join(tmpdir(), "sealog-storage-")), "log.db")
const key: StreamKey = { libraryId: LibraryId.make("notes"), streamId: "welcome" }

const firstEvent = (key: StreamKey, payload = new TextEncoder().encode("sealed")): Append => {
  const event = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, event, "test", 0), payload }] }
}

describe("SqliteStorage", () => {
  it.effect("reads everything back after it is opened again", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const append = firstEvent(key)
      const write = Effect.flatMap(EventLog, (log) => log.append([append]))
      yield* Effect.provide(write, SqliteStorage.layer({ filename }))
      const read = Effect.flatMap(EventLog, (log) => log.read(key, { after: 0 }))
      assert.deepStrictEqual(
        yield* Effect.provide(read, SqliteStorage.layerWithoutMigrations({ filename })),
        append.events
      )
      assert.strictEqual(statSync(filename).mode & 0o777, 0o600)
    })
  )

  it.effect("refuses to change or delete an event", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      yield* Effect.provide(
        Effect.flatMap(EventLog, (log) => log.append([firstEvent(key)])),
        SqliteStorage.layer({ filename })
      )
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const update = yield* Effect.flip(sql`UPDATE events SET origin = 'somebody else'`)
        assert.match(String(update.reason.cause), /events are never changed/)
        const deletion = yield* Effect.flip(sql`DELETE FROM events`)
        assert.match(String(deletion.reason.cause), /events are never deleted/)
        const [settings] = yield* sql`SELECT (SELECT synchronous FROM pragma_synchronous) AS synchronous,
          (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode`
        assert.deepStrictEqual(settings, { synchronous: 2, journal_mode: "wal" })
      }).pipe(Effect.provide(SqliteStorage.layerClient({ filename })))
    })
  )

  it.effect("reports which migrations a database has", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      yield* Layer.build(SqliteStorage.layerClient({ filename }))
      const before = yield* SqliteStorage.readMigrationStatus({ filename })
      assert.deepStrictEqual(before, [
        { id: 1, name: "log", applied: false },
        { id: 2, name: "numbered_streams", applied: false }
      ])
      assert.deepStrictEqual(yield* SqliteStorage.applyMigrations({ filename }), [
        [1, "log"],
        [2, "numbered_streams"]
      ])
      assert.deepStrictEqual(yield* SqliteStorage.applyMigrations({ filename }), [])
      assert.isTrue((yield* SqliteStorage.readMigrationStatus({ filename })).every(({ applied }) => applied))
    })
  )

  it.effect("is not opened when a newer version has migrated it", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      yield* Effect.provide(Effect.void, SqliteStorage.layer({ filename }))
      const database = new DatabaseSync(filename)
      database.exec("INSERT INTO migrations (migration_id, name) VALUES (999, 'of_the_future')")
      database.close()
      for (const layer of [SqliteStorage.layer, SqliteStorage.layerWithoutMigrations]) {
        const error = yield* Effect.flip(Effect.provide(Effect.void, layer({ filename })))
        assert.match(String(error.cause), /a newer version of Sealog has migrated .* does not know of_the_future/)
      }
      const error = yield* Effect.flip(SqliteStorage.applyMigrations({ filename }))
      assert.match(String(error.cause), /a newer version of Sealog/)
    })
  )

  it.effect("is not opened for a command before it is migrated", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      new DatabaseSync(filename).close()
      const error = yield* Effect.flip(Effect.provide(Effect.void, SqliteStorage.layerWithoutMigrations({ filename })))
      assert.match(String(error.cause), /the database lacks the migrations log, numbered_streams/)
    })
  )

  it.effect.each([
    ["removed", (filename: string) => rmSync(filename)],
    [
      "replaced",
      (filename: string) => {
        copyFileSync(filename, `${filename}.copy`)
        renameSync(`${filename}.copy`, filename)
      }
    ]
  ] as const)("acknowledges nothing once its file is %s", ([, change]) =>
    Effect.gen(function* () {
      const filename = freshFile()
      const log = Context.get(yield* Layer.build(SqliteStorage.layer({ filename })), EventLog)
      yield* log.append([firstEvent(key)])
      change(filename)
      const other = { ...key, streamId: "other" }
      for (const use of [log.append([firstEvent(other)]), log.heads([key]), log.tail(key)]) {
        const error = yield* Effect.flip(Effect.asVoid<unknown, StorageUnavailable, never>(use))
        assert.match(String(error.cause), /was removed or replaced while it was open/)
      }
    })
  )

  it.effect("warns of a -wal that was left beside a file from a backup, as doctor does", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      // Each opens a copy of its own, because SQLite takes the -wal into the file.
      const [diagnosed, served] = [freshFile(), freshFile()]
      const copy = Effect.sync(() => {
        for (const restored of [diagnosed, served]) {
          for (const end of ["", "-wal"]) copyFileSync(`${filename}${end}`, `${restored}${end}`)
          const before = Date.now() / 1000 - 600
          utimesSync(`${restored}-wal`, before, before)
        }
      })
      const write = Effect.flatMap(EventLog, (log) => log.append([firstEvent(key)]))
      yield* Effect.provide(Effect.andThen(write, copy), SqliteStorage.layer({ filename }))
      const findings = yield* SqliteStorage.diagnose({ filename: diagnosed })
      assert.deepInclude(
        findings.find(({ check }) => check === "wal"),
        { state: "warn" }
      )
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      const storage = SqliteStorage.layer({ filename: served }).pipe(Layer.provide(Logger.layer([logger])))
      yield* Effect.scoped(Layer.build(storage))
      assert.match(logged.join("\n"), /-wal was written 10 minutes before .*sync-admin restored/)
    })
  )

  it.live("serves one server at a time: the next one waits for it, and then fails", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const layer = SqliteStorage.layer({ filename, isServer: true })
      const open = Effect.suspend(() => Layer.build(Layer.fresh(layer)))
      const scope = yield* Scope.make()
      yield* Scope.provide(open, scope)
      const error = yield* Effect.flip(Effect.scoped(open))
      assert.match(error.message, /another server uses this file/)
      // A command may open it.
      yield* Effect.provide(Effect.void, SqliteStorage.layerWithoutMigrations({ filename }))
      const next = yield* Effect.forkChild(Effect.scoped(open))
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(next)
    })
  )

  it.live("keeps servers from a file once the one that uses it has ended", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const open = Effect.suspend(() => Layer.build(Layer.fresh(SqliteStorage.layer({ filename, isServer: true }))))
      const [server, alone] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.provide(open, server)
      const waiting = yield* Effect.forkChild(Scope.provide(SqliteStorage.withoutServer({ filename }), alone))
      assert.isUndefined(waiting.pollUnsafe())
      yield* Scope.close(server, Exit.void)
      yield* Fiber.join(waiting)
      const lock = new DatabaseSync(`${filename}-server`)
      assert.throws(() => lock.exec("BEGIN EXCLUSIVE"), /locked/)
      lock.close()
      yield* Scope.close(alone, Exit.void)
      yield* Effect.scoped(open)
    })
  )

  it.effect("numbers the streams of a log of the first version, and keeps its events and payloads", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const loader = Migrator.fromRecord({ "0001_log": migrations["0001_log"] })
      yield* Migrator.make({})({ loader, table: "migrations" })
      const payload = new TextEncoder().encode("sealed")
      const keys = ["welcome", "another"].map((streamId) => ({ ...key, streamId }))
      const written = keys.map((key) => {
        const [first] = firstEvent(key).events
        const data = { snapshotId: "a" }
        const keyed = { data, uniqueKey: "a", checkpoint: false }
        const snapshot = { type: "SnapshotStored", payloadHash: blake2b256(payload), ...keyed }
        const head = advance(emptyHead, first.event)
        return [first, { event: place(key, head, snapshot, "test", 1), payload }] as const
      })
      for (const [i, { libraryId, streamId }] of keys.entries()) {
        for (const { event } of written[i]!) {
          const position = 2 * event.version - i
          const snapshotId = event.uniqueKey ?? null
          yield* sql`INSERT INTO events VALUES (${position}, ${libraryId}, ${streamId}, ${event.version}, 0, ${event.type},
            ${JSON.stringify(event.data)}, ${hashBytes(blake2b256(payload))}, ${hashBytes(event.chain)}, 'test',
            ${event.recordedAt}, 0, ${snapshotId})`
          yield* sql`INSERT INTO payloads VALUES (${position}, ${payload})`
          yield* sql`INSERT OR REPLACE INTO streams VALUES
            (${libraryId}, ${streamId}, ${event.version}, 0, ${hashBytes(event.chain)}, 0, 0, 1)`
        }
      }

      assert.deepStrictEqual(yield* migrate, [[2, "numbered_streams"]])
      const log = yield* makeEventLog
      for (const [i, key] of keys.entries()) {
        const events = written[i]!
        assert.deepStrictEqual(yield* log.read(key, { after: 0 }), events)
        assert.deepStrictEqual(yield* log.held(key, 9), { payloads: 2, payloadBytes: 2 * payload.length })
        const head = advance(emptyHead, events[1].event)
        const update = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
        const append: Append = {
          key,
          expectedVersion: 2,
          events: [{ event: place(key, head, update, "test", 2), payload }]
        }
        assert.deepStrictEqual(yield* log.append([append]), [{ _tag: "Committed" }])
        assert.deepStrictEqual(yield* log.readKeyed(key, "a"), [])
      }
      const deletion = yield* Effect.flip(sql`DELETE FROM events`)
      assert.match(String(deletion.reason.cause), /events are never deleted/)
    }).pipe(Effect.provide(SqliteStorage.layerClient({ filename: freshFile() })))
  )

  it.effect("is unavailable while another process holds the file, and works afterwards", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const log = Context.get(yield* Layer.build(SqliteStorage.layer({ filename, busyTimeout: 20 })), EventLog)
      const other = new DatabaseSync(filename)
      other.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(log.append([firstEvent(key)]))
      assert.strictEqual(error._tag, "StorageUnavailable")
      assert.deepStrictEqual(yield* log.read(key, { after: 0 }), [])
      other.exec("ROLLBACK")
      other.close()
      assert.deepStrictEqual(yield* log.append([firstEvent(key)]), [{ _tag: "Committed" }])
    })
  )

  it.effect("is unavailable while the disk is full, stores nothing of the batch, and works afterwards", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* migrate
      const log = yield* makeEventLog
      const large = firstEvent({ ...key, streamId: "large" }, new Uint8Array(512 * 1024))
      const [pages] = yield* sql<{ page_count: number }>`PRAGMA page_count`
      yield* sql.unsafe(`PRAGMA max_page_count = ${pages!.page_count + 10}`)
      const error = yield* Effect.flip(log.append([firstEvent(key), large]))
      assert.strictEqual(error._tag, "StorageUnavailable")
      assert.match(error.message, /append/)
      assert.deepStrictEqual(yield* log.heads([key, large.key]), [emptyHead, emptyHead])
      yield* sql`PRAGMA max_page_count = 100000`
      const results = yield* log.append([firstEvent(key), large])
      assert.isTrue(results.every(({ _tag }) => _tag === "Committed"))
    }).pipe(Effect.provide(SqliteStorage.layerClient({ filename: freshFile() })))
  )

  it.effect("dies of a statement that does not fit the schema", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const log = Context.get(yield* Layer.build(SqliteStorage.layer({ filename })), EventLog)
      const other = new DatabaseSync(filename)
      other.exec("ALTER TABLE streams RENAME COLUMN generation TO something_else")
      other.close()
      for (const call of [log.heads([key]), log.append([firstEvent(key)])]) {
        const exit = yield* Effect.exit<unknown, unknown, never>(call)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
    })
  )

  it.effect("stores the bytes that its payload codec returns", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const invert = (_: StreamKey, __: StreamEvent, bytes: Uint8Array) => bytes.map((byte) => byte ^ 255)
      const codec = Layer.succeed(PayloadCodec, { pack: invert, unpack: invert })
      const storage = SqliteStorage.layer({ filename }).pipe(Layer.provide(codec))
      const log = Context.get(yield* Layer.build(storage), EventLog)
      const append = firstEvent(key)
      yield* log.append([append])
      assert.deepStrictEqual(yield* log.read(key, { after: 0 }), append.events)
      const file = new DatabaseSync(filename)
      const [row] = file.prepare("SELECT payload FROM payloads").all()
      file.close()
      assert.deepStrictEqual(
        row?.["payload"],
        append.events[0].payload?.map((byte) => byte ^ 255)
      )
    })
  )

  it.effect("dies of a damaged row", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const log = Context.get(yield* Layer.build(SqliteStorage.layer({ filename })), EventLog)
      yield* log.append([firstEvent(key)])
      const other = new DatabaseSync(filename)
      other.exec("DROP TRIGGER events_are_not_changed; UPDATE events SET data = '{'")
      other.close()
      const exit = yield* Effect.exit(log.read(key, { after: 0 }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it.live("names up to 1,000 streams that another connection has written, and reports more as all", () =>
    Effect.gen(function* () {
      const filename = freshFile()
      const here = yield* Layer.build(SqliteStorage.layer({ filename }))
      const there = Context.get(yield* Layer.build(SqliteStorage.layer({ filename })), EventLog)
      const stream = (streamId: string): StreamKey => ({ ...key, streamId })
      const woken = yield* Queue.unbounded<ReadonlyArray<StreamKey> | "all">()
      yield* there.append([firstEvent(stream("before anybody listens"))])
      yield* Effect.forkScoped(
        Stream.runForEach(Context.get(here, Signals).wakeups, (streams) => Queue.offer(woken, streams))
      )
      assert.deepStrictEqual(yield* Queue.take(woken), [stream("before anybody listens")])
      yield* there.append([firstEvent(stream("1")), firstEvent(stream("2"))])
      assert.deepStrictEqual(yield* Queue.take(woken), [stream("1"), stream("2")])
      const many = Array.from({ length: 1000 }, () => firstEvent(stream(crypto.randomUUID())))
      yield* there.append([firstEvent(stream("one more")), ...many])
      assert.strictEqual(yield* Queue.take(woken), "all")
    })
  )
})
