/** The function by which a distributed log appends, on plain Postgres: tables of two schemas stand for the shards of two nodes. */
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/ports/EventLog"
import { eventLogSuite } from "@sealog/server/testing"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { freshDatabase } from "#test-support/storage/databases"
import { createAppendFunctions } from "../src/Distribution.ts"
import { PgStorage } from "../src/index.ts"

/** Makes a log that appends by the function. `shardOf` and `hold`: the bodies of the functions that ask Citus on a cluster. */
const logByFunction = Effect.fnUntraced(function* (shardOf: string, hold: string, prepare: ReadonlyArray<string> = []) {
  const url = yield* freshDatabase
  const sql = Context.get(yield* Layer.build(PgStorage.layerClient({ url })), SqlClient.SqlClient)
  for (const statement of [
    ...prepare,
    `CREATE FUNCTION sealog.shard_of(library text) RETURNS bigint LANGUAGE sql AS $$ ${shardOf} $$`,
    `CREATE FUNCTION sealog.hold_shard(library text, libraries text[]) RETURNS text[] LANGUAGE plpgsql AS
     $$ BEGIN ${hold} END $$`
  ]) {
    yield* sql.unsafe(statement)
  }
  yield* Effect.provideService(createAppendFunctions, SqlClient.SqlClient, sql)
  return { sql, url }
})

const HOLD_TABLES = "RETURN ARRAY['sealog.streams', 'sealog.events', 'sealog.payloads'];"

eventLogSuite(
  "Postgres, by the append function",
  Layer.unwrap(
    Effect.map(logByFunction("SELECT length(library)::bigint % 3", HOLD_TABLES), ({ url }) =>
      PgStorage.layerWithoutMigrations({ url })
    )
  )
)

const payload = new TextEncoder().encode("sealed")
const firstUpdate = (library: string, streamId: string): Append => {
  const key = { libraryId: LibraryId.make(library), streamId }
  const update = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, update, "test", 1), payload }] }
}

const COMMITTED = { _tag: "Committed" } as const

describe("the append function", () => {
  it.effect("writes each library to the tables that hold it", () =>
    Effect.gen(function* () {
      const tables = ["one", "two"].flatMap((schema) => [
        `CREATE SCHEMA ${schema}`,
        ...["streams", "events", "payloads"].map(
          (table) => `CREATE TABLE ${schema}.${table} (LIKE sealog.${table} INCLUDING ALL)`
        )
      ])
      const { sql, url } = yield* logByFunction(
        "SELECT CASE WHEN library LIKE 'one%' THEN 1 ELSE 2 END",
        `IF EXISTS (SELECT FROM unnest(libraries) AS l WHERE sealog.shard_of(l) <> sealog.shard_of(library)) THEN
           RAISE EXCEPTION 'two shards in one call';
         END IF;
         RETURN (SELECT array_agg(schema || t) FROM unnest('{.streams,.events,.payloads}'::text[]) AS t,
           (SELECT CASE WHEN library LIKE 'one%' THEN 'one' ELSE 'two' END AS schema) AS s);`,
        tables
      )
      const log = Context.get(yield* Layer.build(PgStorage.layerWithoutMigrations({ url })), EventLog)
      const again = firstUpdate("two-b", "b")
      yield* log.append([again])
      assert.deepStrictEqual(
        yield* log.append([
          firstUpdate("one-a", "a"),
          firstUpdate("two-a", "a"),
          firstUpdate("one-b", "a"),
          firstUpdate("one-a", "b")
        ]),
        [COMMITTED, COMMITTED, COMMITTED, COMMITTED]
      )
      const rows = (schema: string, table: string) =>
        Effect.map(
          sql.unsafe<{ library_id: string }>(`SELECT library_id FROM ${schema}.${table} ORDER BY library_id`),
          (found) => found.map(({ library_id }) => library_id)
        )
      for (const table of ["streams", "events", "payloads"]) {
        assert.deepStrictEqual(yield* rows("one", table), ["one-a", "one-a", "one-b"], table)
        assert.deepStrictEqual(yield* rows("two", table), ["two-a", "two-b"], table)
        assert.deepStrictEqual(yield* rows("sealog", table), [], table)
      }
    })
  )

  it.live("is called again when the shard has moved", () =>
    Effect.gen(function* () {
      const { sql, url } = yield* logByFunction(
        "SELECT 1::bigint",
        `IF nextval('sealog.calls') < 3 THEN
           RAISE EXCEPTION 'the shard has moved' USING ERRCODE = 'serialization_failure';
         END IF;
         ${HOLD_TABLES}`,
        ["CREATE SEQUENCE sealog.calls"]
      )
      const log = Context.get(yield* Layer.build(PgStorage.layerWithoutMigrations({ url })), EventLog)
      assert.deepStrictEqual(yield* log.append([firstUpdate("notes", "a")]), [COMMITTED])
      const [row] = yield* sql<{ calls: number }>`SELECT last_value::float8 AS calls FROM sealog.calls`
      assert.strictEqual(row?.calls, 3)
    })
  )

  it.effect("fails the appends of one shard alone, if the caller leaves what is held", () =>
    Effect.gen(function* () {
      const { url } = yield* logByFunction(
        "SELECT length(library)::bigint",
        `IF library = 'away' THEN
           RAISE EXCEPTION 'the node is away' USING ERRCODE = 'connection_failure';
         END IF;
         ${HOLD_TABLES}`
      )
      const log = Context.get(yield* Layer.build(PgStorage.layerWithoutMigrations({ url })), EventLog)
      const [away, other] = [firstUpdate("away", "a"), firstUpdate("other", "a")]
      const [first, second] = yield* log.append([away, other], { leaveHeld: true })
      assert.strictEqual(first?._tag, "Unreachable")
      assert.deepStrictEqual(second, COMMITTED)
      const failure = yield* Effect.flip(log.append([away, firstUpdate("third", "a")]))
      assert.match(failure.message, /the node is away/)
    })
  )
})
