/** The functions that ask Citus where a library is. Tests put others in their place on plain Postgres. */

/** The number of the shard that holds a library. It stays the same when the shard moves to another node. */
export const SHARD_OF = `
CREATE OR REPLACE FUNCTION sealog.shard_of(library text) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT get_shard_id_for_distribution_column('sealog.streams', library) $$`

/**
 * Returns the names of the tables that hold these libraries, and keeps them where they are until the transaction ends: Citus takes the
 * same lock (5 is ShareLock) for its own writes, and moves or splits no shard while a transaction has it. Only the tables' owner may
 * take it, so the function has the owner's rights. A shard that moved while it waited for the lock has left its rows behind here, until
 * Citus deletes them: nothing may be written to them, and the caller tries again. A stricter isolation would not see the move.
 */
export const HOLD_SHARD = `
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
