/**
 * A log whose tables are distributed by library over the nodes of a Citus cluster. Appends go by functions
 * (`AppendFunction.ts`); Citus plans all other statements.
 */
import { StorageUnavailable } from "@sealog/server/ports"
import type { Finding } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { APPEND_FUNCTIONS } from "./AppendFunction.ts"

/** `sealog.shard_of` is the mark of a distributed log. */
export const isDistributed = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const functions = yield* sql`SELECT 1 FROM pg_proc
    WHERE proname = 'shard_of' AND pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'sealog')`
  return functions.length > 0
})

/** The number of the shard that holds a library. It stays the same when the shard moves to another node. */
const SHARD_OF = `
CREATE OR REPLACE FUNCTION sealog.shard_of(library text) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT get_shard_id_for_distribution_column('sealog.streams', library) $$`

/**
 * Returns the names of the tables that hold these libraries, and keeps them where they are until the transaction ends: Citus takes the
 * same lock (5 is ShareLock) for its own writes, and moves or splits no shard while a transaction has it. Only the tables' owner may
 * take it, so the function has the owner's rights. A shard that moved while it waited for the lock has left its rows behind here, until
 * Citus deletes them: nothing may be written to them, and the caller tries again. A stricter isolation would not see the move.
 */
const HOLD_SHARD = `
CREATE OR REPLACE FUNCTION sealog.hold_shard(library text, libraries text[]) RETURNS text[] LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE shard bigint := sealog.shard_of(library);
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a distributed log needs the isolation read committed on every node (default_transaction_isolation)'
      USING ERRCODE = 'feature_not_supported';
  END IF;
  PERFORM lock_shard_metadata(5, ARRAY[shard]);
  PERFORM FROM pg_dist_placement p JOIN pg_dist_local_group g USING (groupid) WHERE p.shardid = shard;
  IF NOT FOUND OR EXISTS (SELECT FROM unnest(libraries) AS l WHERE sealog.shard_of(l) IS DISTINCT FROM shard) THEN
    RAISE EXCEPTION 'the shard % has moved', shard USING ERRCODE = 'serialization_failure';
  END IF;
  -- For a node that holds shards and has clients of its own.
  PERFORM set_config('citus.enable_manual_changes_to_shards', 'on', true);
  RETURN ARRAY['sealog.streams_' || shard,
    'sealog.events_' || get_shard_id_for_distribution_column('sealog.events', library),
    'sealog.payloads_' || get_shard_id_for_distribution_column('sealog.payloads', library)];
END $$`

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

/** Creates what this version needs on a distributed log. */
export const updateFunctions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql.unsafe(SHARD_OF)
  yield* sql.unsafe(HOLD_SHARD)
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
    SELECT nodename || ':' || nodeport AS node, result = 'on on read committed' AS "isSound", result AS settings
    FROM run_command_on_all_nodes($$SELECT concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'),
      current_setting('default_transaction_isolation'))$$) JOIN pg_dist_node USING (nodeid) ORDER BY nodeid`
  const missing: Array<string> = []
  for (const { name, signature } of APPEND_FUNCTIONS) {
    const [found] = yield* sql<{ exists: boolean }>`SELECT to_regprocedure(${signature}) IS NOT NULL AS exists`
    if (found?.exists !== true) missing.push(name)
  }
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
          tryThis: "fsync = on, full_page_writes = on, default_transaction_isolation = 'read committed' on every node"
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
