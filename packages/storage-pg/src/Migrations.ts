/** The schema, as steps that are applied once and in order. A step that was released is never edited. */
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"

/**
 * Every key begins with `library_id`, nothing reaches from one library into another and nothing counts across them, so
 * that the tables can be distributed by it. Names compare by their bytes, as they do in every other storage.
 */
const log = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // Where each stream ends; written with its events in one statement, and what two writers of a stream wait at.
  yield* sql`
    CREATE TABLE sealog.streams (
      library_id text COLLATE "C" NOT NULL,
      stream_id text COLLATE "C" NOT NULL,
      version bigint NOT NULL,
      generation bigint NOT NULL,
      chain bytea NOT NULL,
      checkpoint bigint NOT NULL,
      created_at bigint NOT NULL,
      updated_at bigint NOT NULL,
      PRIMARY KEY (library_id, stream_id)
    ) WITH (fillfactor = 70)`
  yield* sql`
    CREATE TABLE sealog.events (
      library_id text COLLATE "C" NOT NULL,
      stream_id text COLLATE "C" NOT NULL,
      version bigint NOT NULL,
      generation bigint NOT NULL,
      type text NOT NULL,
      data text NOT NULL,
      payload_hash bytea,
      chain bytea NOT NULL,
      origin text NOT NULL,
      recorded_at bigint NOT NULL,
      checkpoint boolean NOT NULL,
      snapshot_id text COLLATE "C",
      PRIMARY KEY (library_id, stream_id, version)
    )`
  yield* sql`
    CREATE UNIQUE INDEX events_snapshots ON sealog.events (library_id, stream_id, snapshot_id)
    WHERE snapshot_id IS NOT NULL`
  // The sealed bytes apart, because they may go while the events stay.
  yield* sql`
    CREATE TABLE sealog.payloads (
      library_id text COLLATE "C" NOT NULL,
      stream_id text COLLATE "C" NOT NULL,
      version bigint NOT NULL,
      payload bytea NOT NULL,
      PRIMARY KEY (library_id, stream_id, version)
    )`
  // What is sealed does not compress.
  yield* sql`ALTER TABLE sealog.payloads ALTER COLUMN payload SET STORAGE EXTERNAL`
  yield* sql`
    CREATE FUNCTION sealog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'events are never changed or deleted'; END $$`
  yield* sql`
    CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON sealog.events
    FOR EACH ROW EXECUTE FUNCTION sealog.refuse_change()`
  yield* sql`
    CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON sealog.events
    FOR EACH STATEMENT EXECUTE FUNCTION sealog.refuse_change()`
})

const migrations = { "0001_log": log }

const TABLE = "sealog.migrations"
/** Any number that nobody else is likely to lock by. */
const LOCK = 0x5ea106

/** Applies what is missing, as the tables' owner; the ids and names of what was applied. */
export const migrate = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const apply = Effect.gen(function* () {
    // Several servers that migrate as they start: one does it, the others find it done.
    yield* sql`SELECT pg_advisory_xact_lock(${LOCK})`
    // Only when it is not there: who owns the schema need not be able to make one.
    const schemas = yield* sql`SELECT 1 FROM pg_namespace WHERE nspname = 'sealog'`
    if (schemas.length === 0) yield* sql`CREATE SCHEMA sealog`
    return yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: TABLE })
  })
  return yield* sql.withTransaction(apply)
})

/** What a server needs and no more: it cannot change tables, and neither change nor delete an event. */
export const grantTo = Effect.fnUntraced(function* (role: string) {
  const sql = yield* SqlClient.SqlClient
  const grantee = `"${role.replaceAll('"', '""')}"`
  for (const rights of [
    "USAGE ON SCHEMA sealog",
    "SELECT ON sealog.migrations",
    "SELECT, INSERT, UPDATE ON sealog.streams",
    "SELECT, INSERT ON sealog.events",
    "SELECT, INSERT, DELETE ON sealog.payloads"
  ]) {
    yield* sql.unsafe(`GRANT ${rights} TO ${grantee}`)
  }
})

export interface MigrationStatus {
  readonly id: number
  readonly name: string
  readonly applied: boolean
}

/** Every step there is, and whether the database has it. Changes nothing. */
export const migrationStatus = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const tables = yield* sql`SELECT 1 FROM pg_tables WHERE schemaname = 'sealog' AND tablename = 'migrations'`
  const rows = tables.length === 0 ? [] : yield* sql<{ migration_id: number }>`SELECT migration_id FROM ${sql(TABLE)}`
  const applied = new Set(rows.map((row) => row.migration_id))
  return Object.keys(migrations).map((key): MigrationStatus => {
    const [id, ...name] = key.split("_")
    return { id: Number(id), name: name.join("_"), applied: applied.has(Number(id)) }
  })
})
