/**
 * A batch of appends as one statement, and so as one transaction and one round trip: every stream's row is compared,
 * locked and moved on, and only the events of streams that were where their writer expected are inserted.
 */

import { PgTypes } from "@effect/sql-pg"
import type { Append } from "@sealog/server/ports"
import { advance, emptyHead, packPayload } from "@sealog/server/storage"
import { Result } from "effect"
import { hashBytes } from "./Rows.ts"

export interface AppendRow {
  readonly committed: boolean
  /** Where the stream ended when it was looked for; null when it was not there. */
  readonly actual: number | null
  /** Whether an event's unique key is another event's, in the stream or in the same append. */
  readonly key_taken: boolean
}

/**
 * - `found` locks the rows of streams in one order, so that two batches never wait for each other. A row that another
 *   transaction just moved is seen as that one left it.
 * - `durable` raises a session that was set to acknowledge before the disk does, for this transaction.
 * - A new stream that another transaction is just making is left to it. One whose number its library has already is not
 *   made, and its writer tries again with another number.
 * - A connection keeps the plan that it made while the tables were empty, in which any join looks cheap. So nothing is
 *   joined that need not be, and events and payloads are looked at only for appends with a unique key or a purge.
 */
export const APPEND = `
WITH input AS MATERIALIZED (
  SELECT library_id, stream_id, expected::bigint, version::bigint, generation::bigint, chain, checkpoint::bigint,
    created_at::bigint, updated_at::bigint, purge_before::bigint, has_distinct_keys, new_number::bigint, i
  FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[], $5::float8[], $6::bytea[], $7::float8[], $8::float8[],
    $9::float8[], $10::float8[], $11::boolean[], $12::float8[]) WITH ORDINALITY AS t (library_id, stream_id, expected,
    version, generation, chain, checkpoint, created_at, updated_at, purge_before, has_distinct_keys, new_number, i)
), event AS MATERIALIZED (
  SELECT * FROM unnest($13::int4[], $14::float8[], $15::float8[], $16::text[], $17::text[], $18::bytea[], $19::bytea[],
    $20::text[], $21::float8[], $22::boolean[], $23::text[]) WITH ORDINALITY AS t (i, version, generation, type, data,
    payload_hash, chain, origin, recorded_at, checkpoint, unique_key, n)
), found AS MATERIALIZED (
  SELECT input.*, s.version AS actual, s.stream_number FROM input JOIN sealog.streams s USING (library_id, stream_id)
  ORDER BY s.library_id, s.stream_id FOR NO KEY UPDATE OF s
), taken AS MATERIALIZED (
  SELECT DISTINCT i FROM event JOIN found USING (i)
  WHERE event.unique_key IS NOT NULL AND EXISTS (SELECT FROM sealog.events e WHERE e.library_id = found.library_id
    AND e.stream_number = found.stream_number AND e.snapshot_id = event.unique_key)
), moved AS (
  UPDATE sealog.streams s SET version = found.version, generation = found.generation, chain = found.chain,
    checkpoint = greatest(s.checkpoint, found.checkpoint), updated_at = found.updated_at
  FROM found
  WHERE s.library_id = found.library_id AND s.stream_id = found.stream_id AND s.version = found.expected
    AND found.actual = found.expected AND found.has_distinct_keys AND found.i NOT IN (SELECT i FROM taken)
  RETURNING found.i, found.library_id, found.stream_number, found.purge_before
), made AS (
  INSERT INTO sealog.streams (library_id, stream_id, stream_number, version, generation, chain, checkpoint, created_at, updated_at)
  SELECT library_id, stream_id, new_number, version, generation, chain, checkpoint, created_at, updated_at FROM input
  WHERE expected = 0 AND has_distinct_keys AND i NOT IN (SELECT i FROM found)
  ORDER BY library_id, stream_id
  ON CONFLICT DO NOTHING
  RETURNING library_id, stream_id, stream_number
), accepted AS MATERIALIZED (
  SELECT i, library_id, stream_number, purge_before FROM moved
  UNION ALL
  SELECT i, library_id, stream_number, purge_before FROM made JOIN input USING (library_id, stream_id)
), written AS (
  INSERT INTO sealog.events (library_id, stream_number, version, generation, type, data, payload_hash, chain, origin,
    recorded_at, checkpoint, snapshot_id)
  SELECT a.library_id, a.stream_number, e.version, e.generation, e.type, e.data, e.payload_hash, e.chain, e.origin,
    e.recorded_at, e.checkpoint, e.unique_key
  FROM event e JOIN accepted a USING (i) ORDER BY e.n
), held AS (
  INSERT INTO sealog.payloads (library_id, stream_number, version, bytes, payload)
  SELECT a.library_id, a.stream_number, p.version, p.bytes, p.payload
  FROM unnest($24::int4[], $25::float8[], $26::int4[], $27::bytea[]) AS p (i, version, bytes, payload) JOIN accepted a USING (i)
), purged AS (
  DELETE FROM sealog.payloads p USING accepted a
  WHERE a.purge_before > 0 AND p.library_id = a.library_id AND p.stream_number = a.stream_number AND p.version < a.purge_before
), durable AS MATERIALIZED (
  SELECT CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
    THEN set_config('synchronous_commit', 'on', true) END
)
SELECT accepted.i IS NOT NULL AS committed, found.actual::float8 AS actual,
  NOT input.has_distinct_keys OR i IN (SELECT i FROM taken) AS key_taken
FROM input LEFT JOIN accepted USING (i) LEFT JOIN found USING (i) CROSS JOIN durable ORDER BY i`

const { OID } = PgTypes

const array = (oid: number) => (values: ReadonlyArray<unknown>) => Result.getOrThrow(PgTypes.array(values, oid))
const [texts, numbers, ints, flags, blobs] = [OID.text, OID.float8, OID.int4, OID.bool, OID.bytea].map(array) as [
  ReturnType<typeof array>,
  ReturnType<typeof array>,
  ReturnType<typeof array>,
  ReturnType<typeof array>,
  ReturnType<typeof array>
]

/** What a new stream may be called by: the statement makes none whose library has the number already. */
const randomNumber = (): number => Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)

/** The parameters of `APPEND`, one array a column. */
export const appendParameters = (
  batch: ReadonlyArray<Append>,
  newNumber: () => number = randomNumber
): ReadonlyArray<unknown> => {
  const placed = batch.flatMap(({ events }, i) => events.map(({ event }) => ({ i: i + 1, event })))
  const held = batch.flatMap(({ events, key }, i) =>
    events.flatMap(({ event, payload }) =>
      payload === null ? [] : [{ i: i + 1, event, bytes: payload.length, packed: packPayload(key, event, payload) }]
    )
  )
  const heads = batch.map(({ events }) => {
    const { event } = events[events.length - 1]!
    return advance({ ...emptyHead, generation: event.generation }, event)
  })
  return [
    texts(batch.map(({ key }) => key.libraryId)),
    texts(batch.map(({ key }) => key.streamId)),
    numbers(batch.map(({ expectedVersion }) => expectedVersion)),
    numbers(heads.map(({ version }) => version)),
    numbers(heads.map(({ generation }) => generation)),
    blobs(heads.map(({ chain }) => hashBytes(chain))),
    numbers(batch.map(({ events }) => events.findLast(({ event }) => event.checkpoint)?.event.version ?? 0)),
    numbers(batch.map(({ events }) => events[0].event.recordedAt)),
    numbers(batch.map(({ events }) => events[events.length - 1]!.event.recordedAt)),
    numbers(batch.map(({ purgeBefore }) => purgeBefore ?? 0)),
    flags(batch.map(hasDistinctKeys)),
    numbers(batch.map(newNumber)),
    ints(placed.map(({ i }) => i)),
    numbers(placed.map(({ event }) => event.version)),
    numbers(placed.map(({ event }) => event.generation)),
    texts(placed.map(({ event }) => event.type)),
    texts(placed.map(({ event }) => JSON.stringify(event.data))),
    blobs(placed.map(({ event }) => hashBytes(event.payloadHash))),
    blobs(placed.map(({ event }) => hashBytes(event.chain))),
    texts(placed.map(({ event }) => event.origin)),
    numbers(placed.map(({ event }) => event.recordedAt)),
    flags(placed.map(({ event }) => event.checkpoint)),
    texts(placed.map(({ event }) => event.uniqueKey ?? null)),
    ints(held.map(({ i }) => i)),
    numbers(held.map(({ event }) => event.version)),
    ints(held.map(({ bytes }) => bytes)),
    blobs(held.map(({ packed }) => packed))
  ]
}

/** False if two events of one append have the same unique key: the statement would see neither of them yet. */
const hasDistinctKeys = ({ events }: Append): boolean => {
  const uniqueKeys = events.flatMap(({ event }) => event.uniqueKey ?? [])
  return new Set(uniqueKeys).size === uniqueKeys.length
}
