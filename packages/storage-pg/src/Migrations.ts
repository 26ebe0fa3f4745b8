/** The schema as migrations, applied once and in order. A released migration is never edited. */
import { type AppliedMigration, migrationStatusOf } from "@sealog/server/storage"
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import { distribute, isDistributed, updateFunctions } from "./Distribution.ts"

const refuseChanges = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON sealog.events
    FOR EACH ROW EXECUTE FUNCTION sealog.refuse_change()`
  yield* sql`
    CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON sealog.events
    FOR EACH STATEMENT EXECUTE FUNCTION sealog.refuse_change()`
})

/**
 * Every key begins with `library_id`, no constraint spans two libraries and no sequence counts across them, so the tables can be
 * distributed by library. Ids compare by their bytes, as in every other storage.
 */
const log = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // The head of each stream, written in one statement with its events. Two writers of a stream wait for its row.
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
  // The sealed bytes have a table of their own, because they can be purged while the events stay.
  yield* sql`
    CREATE TABLE sealog.payloads (
      library_id text COLLATE "C" NOT NULL,
      stream_id text COLLATE "C" NOT NULL,
      version bigint NOT NULL,
      payload bytea NOT NULL,
      PRIMARY KEY (library_id, stream_id, version)
    )`
  // Sealed bytes do not compress.
  yield* sql`ALTER TABLE sealog.payloads ALTER COLUMN payload SET STORAGE EXTERNAL`
  yield* sql`
    CREATE FUNCTION sealog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'events are never changed or deleted'; END $$`
  yield* refuseChanges
})

/**
 * Events and payloads name their stream by a number instead of its id, and payloads get a column with their size before packing.
 * Stored events and payloads stay as they were written, and roles keep their rights.
 */
const numberedStreams = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // A number is unique in its library. There is no sequence, because it would count across libraries.
  yield* sql`ALTER TABLE sealog.streams ADD COLUMN stream_number bigint`
  yield* sql`
    UPDATE sealog.streams s SET stream_number = n.stream_number FROM (
      SELECT library_id, stream_id, row_number() OVER (PARTITION BY library_id ORDER BY stream_id) AS stream_number
      FROM sealog.streams
    ) n WHERE n.library_id = s.library_id AND n.stream_id = s.stream_id`
  yield* sql`ALTER TABLE sealog.streams ALTER COLUMN stream_number SET NOT NULL, ADD UNIQUE (library_id, stream_number)`
  // Fixed-width columns come first, so that rows need no padding.
  yield* sql`
    CREATE TABLE sealog.numbered_events (
      stream_number bigint NOT NULL,
      version bigint NOT NULL,
      generation bigint NOT NULL,
      recorded_at bigint NOT NULL,
      checkpoint boolean NOT NULL,
      library_id text COLLATE "C" NOT NULL,
      type text NOT NULL,
      data text NOT NULL,
      payload_hash bytea,
      chain bytea NOT NULL,
      origin text NOT NULL,
      snapshot_id text COLLATE "C"
    )`
  yield* sql`
    INSERT INTO sealog.numbered_events
    SELECT s.stream_number, e.version, e.generation, e.recorded_at, e.checkpoint, e.library_id, e.type, e.data,
      e.payload_hash, e.chain, e.origin, e.snapshot_id
    FROM sealog.events e JOIN sealog.streams s USING (library_id, stream_id)
    ORDER BY e.library_id, s.stream_number, e.version`
  yield* sql`
    CREATE TABLE sealog.sized_payloads (
      stream_number bigint NOT NULL,
      version bigint NOT NULL,
      bytes int NOT NULL,
      library_id text COLLATE "C" NOT NULL,
      payload bytea NOT NULL
    )`
  yield* sql`ALTER TABLE sealog.sized_payloads ALTER COLUMN payload SET STORAGE EXTERNAL`
  yield* sql`
    INSERT INTO sealog.sized_payloads
    SELECT s.stream_number, p.version, length(p.payload), p.library_id, p.payload
    FROM sealog.payloads p JOIN sealog.streams s USING (library_id, stream_id)
    ORDER BY p.library_id, s.stream_number, p.version`
  yield* replaceTable("events", "numbered_events")
  yield* replaceTable("payloads", "sized_payloads")
  yield* sql`ALTER TABLE sealog.events ADD PRIMARY KEY (library_id, stream_number, version)`
  yield* sql`ALTER TABLE sealog.payloads ADD PRIMARY KEY (library_id, stream_number, version)`
  yield* sql`
    CREATE UNIQUE INDEX events_snapshots ON sealog.events (library_id, stream_number, snapshot_id)
    WHERE snapshot_id IS NOT NULL`
  yield* refuseChanges
})

/** Replaces a table by another one, and grants the rights to it that roles had to the old one. */
const replaceTable = Effect.fnUntraced(function* (table: string, by: string) {
  const sql = yield* SqlClient.SqlClient
  const grants = yield* sql<{ grantee: string; privilege: string }>`
    SELECT grantee, privilege_type AS privilege FROM information_schema.role_table_grants
    WHERE table_schema = 'sealog' AND table_name = ${table} AND grantee <> current_user AND grantee <> 'PUBLIC'`
  yield* sql`DROP TABLE ${sql(`sealog.${table}`)}`
  yield* sql`ALTER TABLE ${sql(`sealog.${by}`)} RENAME TO ${sql(table)}`
  for (const { grantee, privilege } of grants) {
    yield* sql.unsafe(`GRANT ${privilege} ON sealog.${table} TO ${quoted(grantee)}`)
  }
})

const quoted = (role: string): string => `"${role.replaceAll('"', '""')}"`

export const migrations = { "0001_log": log, "0002_numbered_streams": numberedStreams }

const TABLE = "sealog.migrations"
/** The key of the advisory lock: a number that no other application is likely to use. */
const LOCK = 0x5ea106

const migrating = Effect.fnUntraced(function* (isToDistribute: boolean) {
  const sql = yield* SqlClient.SqlClient
  const apply = Effect.gen(function* () {
    // If several servers migrate as they start, one migrates and the others find it done.
    yield* sql`SELECT pg_advisory_xact_lock(${LOCK})`
    // Only if it does not exist: the schema's owner need not have the right to create schemas.
    const schemas = yield* sql`SELECT 1 FROM pg_namespace WHERE nspname = 'sealog'`
    if (schemas.length === 0) yield* sql`CREATE SCHEMA sealog`
    yield* migrationStatus
    const applied = yield* Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: TABLE })
    if (yield* isDistributed) yield* updateFunctions
    else if (isToDistribute) yield* distribute
    return applied
  })
  return yield* sql.withTransaction(apply)
})

/**
 * Applies the missing migrations, and returns their ids and names. The role must own the tables. Fails if a newer version has
 * migrated the database.
 */
export const migrate = migrating(false)

/** Does the same, and distributes the log over the nodes of a Citus cluster. Fails if a log that is not distributed holds events. */
export const migrateAndDistribute = migrating(true)

/** Grants the rights that a server needs. The role can change no table, and neither change nor delete an event. */
export const grantTo = Effect.fnUntraced(function* (role: string) {
  const sql = yield* SqlClient.SqlClient
  const grantee = quoted(role)
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

/**
 * Returns every migration, and whether the database has it. Changes nothing. Fails if a newer version has migrated the
 * database, and dies of `LogDamaged` if the table of migrations is not as a version leaves it.
 */
export const migrationStatus = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const tables = (yield* sql<{ name: string }>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'sealog' AND tablename IN ('migrations', 'streams')`).map(
    ({ name }) => name
  )
  const isMigrated = tables.includes("migrations")
  const applied = isMigrated ? yield* sql<AppliedMigration>`SELECT migration_id, name FROM ${sql(TABLE)}` : []
  return yield* migrationStatusOf(Object.keys(migrations), applied, isMigrated && tables.includes("streams"))
})
