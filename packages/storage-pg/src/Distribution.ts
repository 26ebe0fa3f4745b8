/**
 * A log whose tables are distributed by library over the nodes of a Citus cluster. Appends go by functions
 * (`AppendFunction.ts`); Citus plans all other statements.
 */
import { StorageUnavailable } from "@sealog/server/ports"
import type { Finding } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { APPEND_FUNCTIONS } from "./AppendFunction.ts"
import { HOLD_SHARDS, NODE_OF, SHARD_OF } from "./ShardFunctions.ts"

/** `sealog.shard_of` is the mark of a distributed log. */
export const isDistributed = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const functions = yield* sql`SELECT 1 FROM pg_proc
    WHERE proname = 'shard_of' AND pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'sealog')`
  return functions.length > 0
})

/** Creates the functions by which this version appends, where they are missing. Those of other versions stay. */
export const createAppendFunctions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* Effect.forEach(APPEND_FUNCTIONS, ({ definition }) => sql.unsafe(definition), { discard: true })
})

/** Lets Citus run the functions on the node that holds the library, also within a transaction. */
const delegateAppendFunctions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  for (const { signature } of APPEND_FUNCTIONS) {
    yield* sql`SELECT create_distributed_function(${signature}, 'library', colocate_with := 'sealog.streams', force_delegation := true)`
  }
})

const missingFunctions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const missing: Array<string> = []
  for (const { name, signature } of APPEND_FUNCTIONS) {
    const [found] = yield* sql<{ exists: boolean }>`SELECT to_regprocedure(${signature}) IS NOT NULL AS exists`
    if (found?.exists !== true) missing.push(name)
  }
  return missing
})

/** Creates what this version needs on a distributed log. It changes nothing if all is there, so that a node may be away. */
export const updateFunctions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  if ((yield* missingFunctions).length === 0) return
  yield* sql.unsafe(SHARD_OF)
  yield* sql.unsafe(NODE_OF)
  yield* sql.unsafe(HOLD_SHARDS)
  yield* createAppendFunctions
  yield* delegateAppendFunctions
})

/** Distributes the tables of an empty log. The role must be a superuser, because the triggers of `events` are distributed as well. */
export const distribute = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const extensions = yield* sql`SELECT 1 FROM pg_extension WHERE extname = 'citus'`
  if (extensions.length === 0) return yield* cannotDistribute("the database has no extension citus")
  const streams = yield* sql`SELECT 1 FROM sealog.streams LIMIT 1`
  if (streams.length > 0) {
    return yield* cannotDistribute("the log holds events already; distribute an empty one, and replicate into it")
  }
  // One transaction creates shards of several tables, in turn.
  yield* sql`SELECT set_config('citus.multi_shard_modify_mode', 'sequential', true)`
  yield* sql`SELECT set_config('citus.enable_unsafe_triggers', 'on', true)`
  yield* sql`SELECT create_reference_table('sealog.migrations')`
  yield* sql`SELECT truncate_local_data_after_distributing_table('sealog.migrations')`
  yield* sql`SELECT create_distributed_table('sealog.streams', 'library_id')`
  yield* sql`SELECT create_distributed_table('sealog.events', 'library_id', colocate_with := 'sealog.streams')`
  yield* sql`SELECT create_distributed_table('sealog.payloads', 'library_id', colocate_with := 'sealog.streams')`
  yield* updateFunctions
})

const cannotDistribute = (reason: string) =>
  new StorageUnavailable({ operation: "distribute the log", cause: new Error(reason) })

/** Findings about the nodes of a distributed log, and about the functions of this version; none if the log is not distributed. */
export const diagnoseNodes = Effect.gen(function* () {
  if (!(yield* isDistributed)) return []
  const sql = yield* SqlClient.SqlClient
  const [version] = yield* sql<{
    version: string
  }>`SELECT extversion AS version FROM pg_extension WHERE extname = 'citus'`
  const nodes = yield* sql<{ node: string; isSound: boolean; settings: string }>`
    SELECT nodename || ':' || nodeport AS node, result = 'on on read committed temporary' AS "isSound", result AS settings
    FROM run_command_on_all_nodes($$SELECT concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'),
      current_setting('default_transaction_isolation'),
      CASE WHEN has_database_privilege(current_database(), 'TEMPORARY') THEN 'temporary' ELSE 'no right to TEMPORARY' END)$$) JOIN pg_dist_node USING (nodeid) ORDER BY nodeid`
  const missing = yield* missingFunctions
  const unsound = nodes.filter(({ isSound }) => !isSound)
  const nodesFinding: Finding =
    unsound.length === 0
      ? {
          check: "nodes",
          state: "ok",
          detail: `Citus ${version?.version}, ${nodes.length} nodes, all with fsync and read committed`
        }
      : {
          check: "nodes",
          state: "fail",
          detail: unsound.map(({ node, settings }) => `${node}: ${settings}`).join("; "),
          tryThis:
            "fsync = on, full_page_writes = on, default_transaction_isolation = 'read committed', and GRANT TEMPORARY ON DATABASE to the role, on every node"
        }
  const functionsFinding: Finding =
    missing.length === 0
      ? { check: "append functions", state: "ok", detail: "those of this version are there" }
      : {
          check: "append functions",
          state: "fail",
          detail: `missing: ${missing.join(", ")}`,
          tryThis: "`sync-admin migrate`, as the tables' owner"
        }
  return [nodesFinding, functionsFinding]
})
