/** The schema, as steps that are applied once and in order. A step that was released is never edited. */
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"

const log = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // Where each stream ends; written with its events in one transaction.
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
  // position: order of insertion, for wake-ups and audits; never what a client waits for.
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
  // The sealed bytes apart, because they may go while the events stay.
  yield* sql`
    CREATE TABLE payloads (
      position INTEGER PRIMARY KEY REFERENCES events (position),
      payload BLOB NOT NULL
    ) STRICT`
  yield* sql`
    CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END`
  yield* sql`
    CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END`
})

export const migrations = { "0001_log": log }

const TABLE = "migrations"

/** Applies what is missing; the ids and names of what was applied. */
export const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: TABLE })

export interface MigrationStatus {
  readonly id: number
  readonly name: string
  readonly applied: boolean
}

/** Every step there is, and whether the database has it. Changes nothing. */
export const migrationStatus = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const tables = yield* sql`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ${TABLE}`
  const rows = tables.length === 0 ? [] : yield* sql<{ migration_id: number }>`SELECT migration_id FROM ${sql(TABLE)}`
  const applied = new Set(rows.map((row) => row.migration_id))
  return Object.keys(migrations).map((key): MigrationStatus => {
    const [id, ...name] = key.split("_")
    return { id: Number(id), name: name.join("_"), applied: applied.has(Number(id)) }
  })
})
