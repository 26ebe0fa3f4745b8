/** The log in Postgres. Any number of processes may write to it at a time: every append is compared in the database. */
import type {
  Appended,
  EventLog,
  LibraryId,
  LibrarySummary,
  PlacedEvent,
  StreamHead,
  StreamKey,
  StreamSummary
} from "@sealog/server/ports"
import { advance, emptyHead } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { APPEND, type AppendRow, appendParameters } from "./Append.ts"
import { EVENT_COLUMNS, type EventRow, eventOf, hashText, placedOf } from "./Rows.ts"
import { unavailable } from "./Unavailable.ts"

/** How long a statement of the live server may take; then it is cancelled, and whether it was done is not known. */
const TIMEOUT = "30 seconds"

/**
 * The payload of the event `e`. Not by a join: before a table has statistics, it was joined by the beginning of its key,
 * which read a stream's payloads once for every event.
 */
const ofPayload = (column: string) => `(SELECT p.${column} FROM sealog.payloads p
  WHERE p.library_id = e.library_id AND p.stream_number = e.stream_number AND p.version = e.version)`

const PAYLOAD = ofPayload("payload")

/** The number of a stream by its library and name, which are $1 and $2; null when there is none. */
const STREAM_NUMBER = "(SELECT stream_number FROM sealog.streams WHERE library_id = $1 AND stream_id = $2)"

/** The version up to which payloads are of size $5 together, and at least the first; by their lengths alone. */
const LAST_FITTING = `SELECT coalesce(max(version) FILTER (WHERE bytes <= $5::float8), min(version)) FROM
  (SELECT version, sum(length) OVER (ORDER BY version) AS bytes FROM
    (SELECT e.version, coalesce(${ofPayload("bytes")}, 0) AS length FROM sealog.events e
     WHERE e.library_id = $1 AND e.stream_number = ${STREAM_NUMBER} AND e.version > $3::float8::bigint
     ORDER BY e.version LIMIT $4::float8::bigint) AS page) AS sums`

export const makeEventLog = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const heads = Effect.fnUntraced(
    function* (keys: ReadonlyArray<StreamKey>) {
      const rows = yield* sql.unsafe<{ version: number | null; generation: number; chain: Uint8Array }>(
        `SELECT s.version::float8 AS version, s.generation::float8 AS generation, s.chain
         FROM json_array_elements($1::json) WITH ORDINALITY AS k (key, i)
         LEFT JOIN sealog.streams s ON s.library_id = k.key->>0 AND s.stream_id = k.key->>1 ORDER BY k.i`,
        [JSON.stringify(keys.map(({ libraryId, streamId }) => [libraryId, streamId]))]
      )
      return rows.map(
        ({ version, generation, chain }): StreamHead =>
          version === null ? emptyHead : { version, generation, chain: hashText(chain) }
      )
    },
    unavailable("read heads", TIMEOUT)
  )

  const append: EventLog["Service"]["append"] = Effect.fnUntraced(
    function* (batch) {
      const rows = yield* sql.unsafe<AppendRow>(APPEND, appendParameters(batch))
      return yield* Effect.forEach(rows, ({ committed, actual, key_taken }, i) => {
        if (committed) return Effect.succeed<Appended>({ _tag: "Committed" })
        const { expectedVersion, key } = batch[i]!
        if (key_taken && (actual ?? 0) === expectedVersion) return Effect.succeed<Appended>({ _tag: "UniqueKeyTaken" })
        // A stream that another transaction was making while this one looked for it.
        const isNew = actual === null && expectedVersion === 0
        const found = isNew ? Effect.map(heads([key]), ([head]) => head?.version ?? 0) : Effect.succeed(actual ?? 0)
        return Effect.map(found, (actualVersion): Appended => ({ _tag: "Conflict", actualVersion }))
      })
    },
    unavailable("append", TIMEOUT)
  )

  const exclusively: EventLog["Service"]["exclusively"] = ({ libraryId, streamId }, use) =>
    sql`SELECT FROM sealog.streams WHERE library_id = ${libraryId} AND stream_id = ${streamId} FOR NO KEY UPDATE`.pipe(
      unavailable("hold a stream", TIMEOUT),
      Effect.andThen(use),
      sql.withTransaction,
      unavailable("hold a stream")
    )

  const read: EventLog["Service"]["read"] = Effect.fnUntraced(
    function* (key, { after, limit, maxBytes, payloads }) {
      const isBounded = payloads !== false && maxBytes !== undefined
      const rows = yield* sql.unsafe<EventRow>(
        `SELECT ${EVENT_COLUMNS}, ${payloads === false ? "NULL::bytea" : PAYLOAD} AS payload FROM sealog.events e
         WHERE e.library_id = $1 AND e.stream_number = ${STREAM_NUMBER} AND e.version > $3::float8::bigint
         ${isBounded ? `AND e.version <= (${LAST_FITTING})` : ""} ORDER BY e.version LIMIT $4::float8::bigint`,
        [key.libraryId, key.streamId, after, limit ?? null, ...(isBounded ? [maxBytes] : [])]
      )
      return rows.map((row) => placedOf(key, row))
    },
    unavailable("read events", TIMEOUT)
  )

  const tail: EventLog["Service"]["tail"] = Effect.fnUntraced(
    function* (key, options) {
      const payloads = options?.payloads !== false
      // One statement, so it sees one moment, whatever other processes write.
      const rows = yield* sql.unsafe<EventRow>(
        `SELECT ${EVENT_COLUMNS}, ${payloads ? PAYLOAD : "NULL::bytea"} AS payload FROM sealog.streams s
         JOIN sealog.events e ON e.library_id = s.library_id AND e.stream_number = s.stream_number AND e.version >= s.checkpoint
         WHERE s.library_id = $1 AND s.stream_id = $2 ORDER BY e.version`,
        [key.libraryId, key.streamId]
      )
      const events = rows.map((row) => placedOf(key, row))
      return { head: headAfter(events), events }
    },
    unavailable("read a stream's tail", TIMEOUT)
  )

  const readKeyed: EventLog["Service"]["readKeyed"] = Effect.fnUntraced(
    function* (key, after) {
      // One statement, so it sees one moment. Its first row is the event named.
      const rows = yield* sql.unsafe<Omit<EventRow, "payload">>(
        `SELECT ${EVENT_COLUMNS} FROM sealog.events named JOIN sealog.events e
           ON e.library_id = named.library_id AND e.stream_number = named.stream_number AND e.version >= named.version
         WHERE named.library_id = $1 AND named.stream_number = ${STREAM_NUMBER} AND named.snapshot_id = $3
           AND e.library_id = $1 AND e.stream_number = ${STREAM_NUMBER} AND e.snapshot_id IS NOT NULL ORDER BY e.version`,
        [key.libraryId, key.streamId, after]
      )
      return rows.length === 0 ? undefined : rows.slice(1).map(eventOf)
    },
    unavailable("read events by their unique key", TIMEOUT)
  )

  const held: EventLog["Service"]["held"] = Effect.fnUntraced(function* (key, before) {
    const [row] = yield* sql.unsafe<{ payloads: number; bytes: number }>(
      `SELECT count(*)::float8 AS payloads, coalesce(sum(bytes), 0)::float8 AS bytes FROM sealog.payloads
         WHERE library_id = $1 AND stream_number = ${STREAM_NUMBER} AND version < $3::float8::bigint`,
      [key.libraryId, key.streamId, before]
    )
    return { payloads: row?.payloads ?? 0, payloadBytes: row?.bytes ?? 0 }
  }, unavailable("measure payloads"))

  const streams: EventLog["Service"]["streams"] = Effect.fnUntraced(function* (options) {
    const { after, libraryId, limit, payloads = true, streamId } = options
    const rows = yield* sql<StreamRow>`
      SELECT s.library_id, s.stream_id, s.version::float8 AS version, s.generation::float8 AS generation, s.chain,
        s.checkpoint::float8 AS checkpoint, s.created_at::float8 AS created_at, s.updated_at::float8 AS updated_at, p.payloads, p.payload_bytes
      FROM sealog.streams s, LATERAL (
        SELECT count(*)::float8 AS payloads, coalesce(sum(p.bytes), 0)::float8 AS payload_bytes
        FROM sealog.payloads p WHERE ${payloads} AND p.library_id = s.library_id AND p.stream_number = s.stream_number
      ) p
      WHERE ${sql.and([
        // Only what is asked for, so that the primary key serves every form of the question.
        ...(libraryId === undefined ? [] : [sql`s.library_id = ${libraryId}`]),
        ...(streamId === undefined ? [] : [sql`s.stream_id = ${streamId}`]),
        ...(after === undefined ? [] : [sql`(s.library_id, s.stream_id) > (${after.libraryId}, ${after.streamId})`]),
        sql`TRUE`
      ])}
      ORDER BY s.library_id, s.stream_id LIMIT ${limit}`
    return rows.map(summaryOf)
  }, unavailable("list streams"))

  const libraries: EventLog["Service"]["libraries"] = Effect.fnUntraced(function* ({ after, limit }) {
    const rows = yield* sql.unsafe<LibraryRow>(
      `SELECT l.*, p.payload_bytes FROM (
         SELECT library_id, count(*)::float8 AS streams, sum(version)::float8 AS events,
           max(updated_at)::float8 AS updated_at
         FROM sealog.streams WHERE library_id > $1 GROUP BY library_id ORDER BY library_id LIMIT $2::float8::bigint
       ) l, LATERAL (
         SELECT coalesce(sum(p.bytes), 0)::float8 AS payload_bytes
         FROM sealog.payloads p WHERE p.library_id = l.library_id
       ) p ORDER BY l.library_id`,
      [after ?? "", limit]
    )
    return rows.map(
      (row): LibrarySummary => ({
        libraryId: row.library_id,
        streams: row.streams,
        events: row.events,
        payloadBytes: row.payload_bytes,
        updatedAt: row.updated_at
      })
    )
  }, unavailable("list libraries"))

  return { append, heads, read, tail, readKeyed, held, streams, libraries, exclusively } satisfies EventLog["Service"]
})

interface StreamRow {
  readonly library_id: LibraryId
  readonly stream_id: string
  readonly version: number
  readonly generation: number
  readonly chain: Uint8Array
  readonly checkpoint: number
  readonly created_at: number
  readonly updated_at: number
  readonly payloads: number
  readonly payload_bytes: number
}

interface LibraryRow {
  readonly library_id: LibraryId
  readonly streams: number
  readonly events: number
  readonly payload_bytes: number
  readonly updated_at: number
}

const summaryOf = (row: StreamRow): StreamSummary => ({
  key: { libraryId: row.library_id, streamId: row.stream_id },
  version: row.version,
  generation: row.generation,
  chain: hashText(row.chain),
  checkpoint: row.checkpoint,
  payloads: row.payloads,
  payloadBytes: row.payload_bytes,
  createdAt: row.created_at,
  updatedAt: row.updated_at
})

const headAfter = (events: ReadonlyArray<PlacedEvent>): StreamHead => {
  const last = events.at(-1)?.event
  return last === undefined ? emptyHead : advance({ ...emptyHead, generation: last.generation }, last)
}
