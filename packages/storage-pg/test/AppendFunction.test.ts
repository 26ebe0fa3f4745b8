/** The function by which a distributed log appends, on plain Postgres: tables of two schemas stand for the shards of two nodes. */
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/ports/EventLog"
import { eventLogSuite } from "@sealog/server/testing"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import { startBlackHole } from "#test-support/network/BlackHole"
import { freshDatabase } from "#test-support/storage/databases"
import { until } from "#test-support/until"
import { createAppendFunctions } from "../src/Distribution.ts"
import { PgStorage } from "../src/index.ts"
import { leavesMachineOpenly } from "../src/Tls.ts"

interface Cluster {
  /** The bodies of the functions that ask Citus on a cluster. */
  readonly shardOf: string
  readonly nodeOf?: string
  readonly hold: string
  readonly prepare?: ReadonlyArray<string>
}

/** Makes a log that appends by the function. */
const logByFunction = Effect.fnUntraced(function* ({ hold, nodeOf = "SELECT 1", prepare = [], shardOf }: Cluster) {
  const url = yield* freshDatabase
  const sql = Context.get(yield* Layer.build(PgStorage.layerClient({ url })), SqlClient.SqlClient)
  for (const statement of [
    ...prepare,
    `CREATE FUNCTION sealog.shard_of(library text) RETURNS bigint LANGUAGE sql AS $$ ${shardOf} $$`,
    `CREATE FUNCTION sealog.node_of(shard bigint) RETURNS int4 LANGUAGE sql AS $$ ${nodeOf} $$`,
    `CREATE FUNCTION sealog.hold_shards(libraries text[], last int4[]) RETURNS text[] LANGUAGE plpgsql AS
     $$ BEGIN ${hold} END $$`
  ]) {
    yield* sql.unsafe(statement)
  }
  yield* Effect.provideService(createAppendFunctions, SqlClient.SqlClient, sql)
  return { sql, url }
})

/** The tables of each shard are in a schema that `schemaOf` names; `l` is the position of the shard's last library. */
const tablesIn = (schemaOf: string) => `RETURN (SELECT array_agg(${schemaOf} || t ORDER BY k, n)
  FROM unnest(last) WITH ORDINALITY AS s (l, k), unnest('{.streams,.events,.payloads}'::text[]) WITH ORDINALITY AS u (t, n));`

const HOLD_TABLES = tablesIn("'sealog'")

/** Tables in the place of those of Citus: two nodes at a port of this machine. `local`: the nodes that the database there takes itself for. */
const nodesAt = (port: number, local = "0, 1") => [
  "CREATE TABLE pg_dist_node (groupid int4, nodename text, nodeport int4, noderole text, metadatasynced boolean)",
  `INSERT INTO pg_dist_node SELECT n, '127.0.0.1', ${port}, 'primary', true FROM unnest(ARRAY[0, 1]) AS n`,
  `CREATE TABLE pg_dist_local_group AS SELECT unnest(ARRAY[${local}]) AS groupid`
]

const postgresPort = Number(new URL(inject("postgresUrl")).port || 5432)

eventLogSuite(
  "Postgres, by the append function",
  Layer.unwrap(
    Effect.map(
      logByFunction({
        shardOf: "SELECT length(library)::bigint % 3",
        nodeOf: "SELECT (shard % 2)::int4",
        hold: HOLD_TABLES,
        prepare: nodesAt(postgresPort)
      }),
      ({ url }) => PgStorage.layerWithoutMigrations({ url })
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
      const { sql, url } = yield* logByFunction({
        shardOf: "SELECT CASE WHEN library LIKE 'one%' THEN 1 ELSE 2 END",
        hold: tablesIn("CASE WHEN libraries[l] LIKE 'one%' THEN 'one' ELSE 'two' END"),
        prepare: tables
      })
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
      const { sql, url } = yield* logByFunction({
        shardOf: "SELECT 1::bigint",
        hold: `IF nextval('sealog.calls') < 3 THEN
           RAISE EXCEPTION 'the shard has moved' USING ERRCODE = 'serialization_failure';
         END IF;
         ${HOLD_TABLES}`,
        prepare: ["CREATE SEQUENCE sealog.calls"]
      })
      const log = Context.get(yield* Layer.build(PgStorage.layerWithoutMigrations({ url })), EventLog)
      assert.deepStrictEqual(yield* log.append([firstUpdate("notes", "a")]), [COMMITTED])
      const [row] = yield* sql<{ calls: number }>`SELECT last_value::float8 AS calls FROM sealog.calls`
      assert.strictEqual(row?.calls, 3)
    })
  )

  it.live("is called on each node when two shards of a call have parted", () =>
    Effect.gen(function* () {
      const { sql, url } = yield* logByFunction({
        shardOf: "SELECT length(library)::bigint",
        nodeOf: "SELECT node FROM sealog.placements p WHERE p.shard = node_of.shard",
        hold: `IF (SELECT count(DISTINCT sealog.node_of(sealog.shard_of(l))) FROM unnest(libraries) AS l) > 1 THEN
           RAISE EXCEPTION 'a shard has moved' USING ERRCODE = 'serialization_failure';
         END IF;
         ${HOLD_TABLES}`,
        prepare: [
          "CREATE TABLE sealog.placements (shard bigint, node int4)",
          "INSERT INTO sealog.placements VALUES (1, 1), (2, 1)"
        ]
      })
      const log = Context.get(yield* Layer.build(PgStorage.layerWithoutMigrations({ url })), EventLog)
      assert.deepStrictEqual(yield* log.append([firstUpdate("a", "a"), firstUpdate("bb", "a")]), [COMMITTED, COMMITTED])
      yield* sql`UPDATE sealog.placements SET node = 2 WHERE shard = 2`
      assert.deepStrictEqual(
        yield* log.append([firstUpdate("bb", "b"), firstUpdate("a", "b"), firstUpdate("bb", "a")]),
        [COMMITTED, COMMITTED, { _tag: "Conflict", actualVersion: 1 }]
      )
    })
  )

  it.effect("fails the appends of one node alone, if the caller leaves what is held", () =>
    Effect.gen(function* () {
      const { url } = yield* logByFunction({
        shardOf: "SELECT length(library)::bigint",
        nodeOf: "SELECT shard::int4",
        hold: `IF libraries[1] = 'away' THEN
           RAISE EXCEPTION 'the node is away' USING ERRCODE = 'connection_failure';
         END IF;
         ${HOLD_TABLES}`
      })
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

describe("a node that the server reaches", () => {
  /** A log on one node behind a proxy, which keeps the port at which each append's connection begins. */
  const logBehind = Effect.fnUntraced(function* (nodePort: number, local?: string) {
    const { sql, url } = yield* logByFunction({
      shardOf: "SELECT 1::bigint",
      hold: `INSERT INTO sealog.callers (port) VALUES (inet_client_port()); ${HOLD_TABLES}`,
      prepare: ["CREATE TABLE sealog.callers (n serial, port int4)", ...nodesAt(nodePort, local)]
    })
    const log = Context.get(yield* Layer.build(PgStorage.layerWithoutMigrations({ url })), EventLog)
    let appended = 0
    /** Appends to a new stream. */
    const append = Effect.gen(function* () {
      const results = yield* log.append([firstUpdate("notes", `stream-${appended++}`)])
      assert.deepStrictEqual(results, [COMMITTED])
    })
    /** The port at which the connection of the last append began. */
    const lastPort = Effect.map(
      sql<{ port: number }>`SELECT port FROM sealog.callers ORDER BY n DESC LIMIT 1`,
      ([caller]) => caller!.port
    )
    return { append, lastPort, log, portOfAppend: Effect.andThen(append, lastPort), sql }
  })

  it.live("gets its appends straight, and over the coordinator once it is lost", () =>
    Effect.gen(function* () {
      const outer = yield* Scope.make()
      const node = yield* Scope.provide(startBlackHole(postgresPort), outer)
      const { log, portOfAppend } = yield* logBehind(node.port)
      assert.isFalse(node.passes(yield* portOfAppend))
      yield* until("appends go straight to the node", Effect.map(portOfAppend, node.passes))
      yield* Scope.close(outer, Exit.void)
      // Whether this append was stored is not known, so it fails.
      const [lost] = yield* log.append([firstUpdate("notes", "lost")], { leaveHeld: true })
      assert.strictEqual(lost?._tag, "Unreachable")
      assert.isFalse(node.passes(yield* portOfAppend))
    })
  )

  it.live("gets its appends over the coordinator at once after it gave no answer to one", () =>
    Effect.gen(function* () {
      const node = yield* startBlackHole(postgresPort)
      const { log, portOfAppend } = yield* logBehind(node.port)
      yield* until("appends go straight to the node", Effect.map(portOfAppend, node.passes))
      node.swallow()
      const [silent] = yield* log.append([firstUpdate("notes", "silent")], { leaveHeld: true })
      assert.strictEqual(silent?._tag, "Unreachable")
      assert.isFalse(node.passes(yield* portOfAppend))
    })
  )

  it.live("gets the appends of a transaction over the coordinator", () =>
    Effect.gen(function* () {
      const node = yield* startBlackHole(postgresPort)
      const { append, lastPort, log, portOfAppend } = yield* logBehind(node.port)
      yield* until("appends go straight to the node", Effect.map(portOfAppend, node.passes))
      const { key } = firstUpdate("notes", "stream-0")
      yield* log.exclusively(key, append)
      assert.isFalse(node.passes(yield* lastPort))
    })
  )

  it.live("gets none if its address leads to another node", () =>
    Effect.gen(function* () {
      const node = yield* startBlackHole(postgresPort)
      const { portOfAppend, sql } = yield* logBehind(node.port, "2")
      const ports = new Set([yield* portOfAppend])
      const isRefused = Effect.map(
        sql<{ port: number }>`SELECT client_port AS port FROM pg_stat_activity WHERE datname = current_database()`,
        (sessions) => node.connections() > 0 && !sessions.some(({ port }) => node.passes(port))
      )
      yield* until("the server has asked the node, and left", isRefused)
      ports.add(yield* portOfAppend)
      assert.isFalse([...ports].some(node.passes))
    })
  )

  it("is not reached without TLS on another machine, if the coordinator is on this one", () => {
    for (const host of ["localhost", "127.0.0.1", "[::1]", ""]) {
      const url = `postgres://sealog@${host}/sealog`.replace("sealog@/", "/")
      assert.isTrue(leavesMachineOpenly(url, "worker1"), url)
      assert.isTrue(leavesMachineOpenly(`${url}?sslmode=prefer`, "10.0.0.1"), url)
      assert.isFalse(leavesMachineOpenly(`${url}?sslmode=verify-full`, "worker1"), url)
      for (const same of ["localhost", "127.0.0.1", "::1"]) assert.isFalse(leavesMachineOpenly(url, same), url)
    }
    assert.isTrue(leavesMachineOpenly("postgres://sealog@db/sealog?host=/run/postgresql", "worker1"))
    assert.isFalse(leavesMachineOpenly("postgres://sealog@coordinator/sealog", "worker1"))
  })
})
