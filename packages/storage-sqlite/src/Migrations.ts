/** The schema as migrations, applied once and in order. A released migration is never edited. */
import { type AppliedMigration, migrationStatusOf } from "@sealog/server/storage"
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"

const refuseChanges = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END`
  yield* sql`
    CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END`
})

const log = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // The head of each stream, written in one transaction with its events.
  yield* sql`
    CREATE TABLE streams (
      library_id TEXT NOT NULL,
      stream_id TEXT NOT NULL,
      version INTEGER NOT NULL,
      generation INTEGER NOT NULL,
      chain BLOB NOT NULL,
      checkpoint INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      PRIMARY KEY (library_id, stream_id)
    ) STRICT, WITHOUT ROWID`
  // position: the order of insertion, for wake-ups and audits. Clients know versions only.
  yield* sql`
    CREATE TABLE events (
      position INTEGER PRIMARY KEY,
      library_id TEXT NOT NULL,
      stream_id TEXT NOT NULL,
      version INTEGER NOT NULL,
      generation INTEGER NOT NULL,
      type TEXT NOT NULL,
      data TEXT NOT NULL,
      payload_hash BLOB,
      chain BLOB NOT NULL,
      origin TEXT NOT NULL,
      recorded_at INTEGER NOT NULL,
      checkpoint INTEGER NOT NULL,
      snapshot_id TEXT,
      UNIQUE (library_id, stream_id, version)
    ) STRICT`
  yield* sql`
    CREATE UNIQUE INDEX events_snapshots ON events (library_id, stream_id, snapshot_id) WHERE snapshot_id IS NOT NULL`
  // The sealed bytes have a table of their own, because they can be purged while the events stay.
  yield* sql`
    CREATE TABLE payloads (
      position INTEGER PRIMARY KEY REFERENCES events (position),
      payload BLOB NOT NULL
    ) STRICT`
  yield* refuseChanges
})

/**
 * Events name their stream by a number, and payloads get a column with their size before packing. Stored events and payloads
 * stay as they were written. The file keeps its size, and SQLite reuses the pages that became free.
 */
const numberedStreams = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE TABLE numbered_streams (
      stream_number INTEGER PRIMARY KEY,
      library_id TEXT NOT NULL,
      stream_id TEXT NOT NULL,
      version INTEGER NOT NULL,
      generation INTEGER NOT NULL,
      chain BLOB NOT NULL,
      checkpoint INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      UNIQUE (library_id, stream_id)
    ) STRICT`
  yield* sql`
    INSERT INTO numbered_streams
      (library_id, stream_id, version, generation, chain, checkpoint, created_at, updated_at)
    SELECT library_id, stream_id, version, generation, chain, checkpoint, created_at, updated_at
    FROM streams ORDER BY library_id, stream_id`
  yield* sql`
    CREATE TABLE numbered_events (
      position INTEGER PRIMARY KEY,
      stream_number INTEGER NOT NULL,
      version INTEGER NOT NULL,
      generation INTEGER NOT NULL,
      type TEXT NOT NULL,
      data TEXT NOT NULL,
      payload_hash BLOB,
      chain BLOB NOT NULL,
      origin TEXT NOT NULL,
      recorded_at INTEGER NOT NULL,
      checkpoint INTEGER NOT NULL,
      snapshot_id TEXT,
      UNIQUE (stream_number, version)
    ) STRICT`
  yield* sql`
    INSERT INTO numbered_events
    SELECT e.position, s.stream_number, e.version, e.generation, e.type, e.data, e.payload_hash, e.chain, e.origin,
      e.recorded_at, e.checkpoint, e.snapshot_id
    FROM events e JOIN numbered_streams s ON s.library_id = e.library_id AND s.stream_id = e.stream_id
    ORDER BY e.position`
  yield* sql`
    CREATE TABLE sized_payloads (
      position INTEGER PRIMARY KEY REFERENCES numbered_events (position),
      bytes INTEGER NOT NULL,
      payload BLOB NOT NULL
    ) STRICT`
  yield* sql`INSERT INTO sized_payloads SELECT position, length(payload), payload FROM payloads ORDER BY position`
  for (const table of ["payloads", "events", "streams"]) yield* sql`DROP TABLE ${sql(table)}`
  yield* sql`ALTER TABLE numbered_streams RENAME TO streams`
  yield* sql`ALTER TABLE numbered_events RENAME TO events`
  yield* sql`ALTER TABLE sized_payloads RENAME TO payloads`
  yield* sql`
    CREATE UNIQUE INDEX events_snapshots ON events (stream_number, snapshot_id) WHERE snapshot_id IS NOT NULL`
  yield* refuseChanges
})

export const migrations = { "0001_log": log, "0002_numbered_streams": numberedStreams }

const TABLE = "migrations"

/** Applies the missing migrations, and returns their ids and names. Fails if a newer version has migrated the database. */
export const migrate = Effect.suspend(() =>
  Effect.andThen(migrationStatus, Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: TABLE }))
)

/**
 * Returns every migration, and whether the database has it. Changes nothing. Fails if a newer version has migrated the
 * database, and dies of `LogDamaged` if the table of migrations is not as a version leaves it.
 */
export const migrationStatus = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const tables = (yield* sql<{
    name: string
  }>`SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN (${TABLE}, 'streams')`).map(({ name }) => name)
  const isMigrated = tables.includes("migrations")
  const applied = isMigrated ? yield* sql<AppliedMigration>`SELECT migration_id, name FROM ${sql(TABLE)}` : []
  return yield* migrationStatusOf(Object.keys(migrations), applied, isMigrated && tables.includes("streams"))
})
