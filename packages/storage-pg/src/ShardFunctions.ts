/** The functions that ask Citus where a library is. Tests put others in their place on plain Postgres. */

/** The number of the shard that holds a library. It stays the same when the shard moves to another node. */
export const SHARD_OF = `
CREATE OR REPLACE FUNCTION sealog.shard_of(library text) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT get_shard_id_for_distribution_column('sealog.streams', library) $$`

/**
 * Returns the names of the tables of each shard, three for each, and keeps them where they are until the transaction ends: Citus takes
 * the same lock (5 is ShareLock) for its own writes, and moves or splits no shard while a transaction has it. `last`: where the
 * libraries of each shard end. Only the tables' owner may take the lock, so the function has the owner's rights. A shard that moved
 * while the function waited for the lock has left its rows behind here, until Citus deletes them: nothing may be written to them, and
 * the caller tries again. A stricter isolation would not see the move.
 */
export const HOLD_SHARDS = `
CREATE OR REPLACE FUNCTION sealog.hold_shards(libraries text[], last int4[]) RETURNS text[] LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  shards bigint[];
  tables text[] := '{}';
  shard bigint;
  i int4 := 1;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'a distributed log needs the isolation read committed on every node (default_transaction_isolation)'
      USING ERRCODE = 'feature_not_supported';
  END IF;
  FOR k IN 1..cardinality(last) LOOP
    shards[k] := get_shard_id_for_distribution_column('sealog.streams', libraries[last[k]]);
  END LOOP;
  PERFORM lock_shard_metadata(5, shards);
  IF (SELECT count(*) FROM pg_dist_placement p JOIN pg_dist_local_group g USING (groupid) WHERE p.shardid = ANY (shards))
    <> cardinality(last) THEN
    RAISE EXCEPTION 'a shard of % has moved', shards USING ERRCODE = 'serialization_failure';
  END IF;
  FOR k IN 1..cardinality(last) LOOP
    WHILE i <= last[k] LOOP
      shard := get_shard_id_for_distribution_column('sealog.streams', libraries[i]);
      IF shard <> shards[k] THEN
        RAISE EXCEPTION 'the shard % was split', shard USING ERRCODE = 'serialization_failure';
      END IF;
      i := i + 1;
    END LOOP;
    tables := tables || ARRAY['sealog.streams_' || shards[k],
      'sealog.events_' || get_shard_id_for_distribution_column('sealog.events', libraries[last[k]]),
      'sealog.payloads_' || get_shard_id_for_distribution_column('sealog.payloads', libraries[last[k]])];
  END LOOP;
  -- For a node that holds shards and has clients of its own.
  PERFORM set_config('citus.enable_manual_changes_to_shards', 'on', true);
  RETURN tables;
END $$`

/** The node that holds a shard. */
export const NODE_OF = `
CREATE OR REPLACE FUNCTION sealog.node_of(shard bigint) RETURNS int4 LANGUAGE sql STABLE AS
$$ SELECT groupid FROM pg_catalog.pg_dist_placement WHERE shardid = shard $$`
