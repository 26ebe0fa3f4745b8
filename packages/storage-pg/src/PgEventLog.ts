/** The event log in Postgres. Any number of processes may write: the database compares the version of every append. */
import type { Append, Appended, EventLog, LogUse, StreamHead, StreamKey } from "@sealog/server/ports"
import {
  type EventRow,
  emptyHead,
  eventOf,
  type LibraryRow,
  librarySummaryOf,
  PayloadCodec,
  type PlacedEventRow,
  placedEventsOf,
  type StreamRow,
  streamSummaryOf,
  type TailRow,
  tailOf
} from "@sealog/server/storage"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Fragment } from "effect/sql/Statement"
import { type AppendRow, appendOf } from "./Append.ts"
import { type GroupRow, makeAppendByNode } from "./DistributedAppend.ts"
import { type HeadRow, headOf, makeHeadsOnNodes } from "./DistributedHeads.ts"
import { isDistributed } from "./Distribution.ts"
import { leftBehindAfter, unavailableSoon } from "./LeftBehind.ts"
import { makeRequireListed } from "./ListedStreams.ts"
import type { OpenNode } from "./NodeClients.ts"
import { makeEndReadOnlySessions } from "./ReadOnlySessions.ts"
import { makeEndSilentConnections } from "./SilentConnections.ts"
import { unavailable } from "./Unavailable.ts"

/** The time limit of a live server's statement. It is then cancelled, and whether it took effect is not known. */
const TIMEOUT = "30 seconds"

/** Milliseconds for which a process that holds a stream may do nothing, for example because it is frozen. Then it loses the stream. */
const IDLE_MILLIS = 5000

/** The columns of an `EventRow`. Numbers are read as float8, since they never exceed 2^53. `snapshot_id`: the unique key. */
const EVENT_COLUMNS = `e.version::float8 AS version, e.generation::float8 AS generation, e.type, e.data,
  e.payload_hash, e.chain, e.origin, e.recorded_at::float8 AS recorded_at, e.checkpoint, e.snapshot_id AS unique_key`

/**
 * A column of the payload of the event `e` of the library $1. Not a join: while a table has no statistics, Postgres joins by the
 * beginning of the key alone, and reads all payloads of a stream for each event. Citus sends a statement to one node only if each
 * table is compared with $1 itself.
 */
const ofPayload = (column: string) => `(SELECT p.${column} FROM sealog.payloads p
  WHERE p.library_id = $1 AND p.stream_number = e.stream_number AND p.version = e.version)`

const PAYLOAD = ofPayload("payload")

/** The number of a stream by its library and id, $1 and $2; null if there is no such stream. */
const STREAM_NUMBER = "(SELECT stream_number FROM sealog.streams WHERE library_id = $1 AND stream_id = $2)"

/**
 * The last version of a page whose payloads have the size $5 together, at least the page's first version. Reads the payloads'
 * sizes only.
 */
const LAST_FITTING = `SELECT coalesce(max(version) FILTER (WHERE bytes <= $5::float8), min(version)) FROM
  (SELECT version, sum(length) OVER (ORDER BY version) AS bytes FROM
    (SELECT e.version, coalesce(${ofPayload("bytes")}, 0) AS length FROM sealog.events e
     WHERE e.library_id = $1 AND e.stream_number = ${STREAM_NUMBER} AND e.version > $3::float8::bigint
     ORDER BY e.version LIMIT $4::float8::bigint) AS page) AS sums`

/** The result for a stream of which a statement has no row. */
const NOT_FOUND: Omit<GroupRow, "i"> = { committed: false, actual: null, key_taken: false }

/** `connections`: the size of the client's pool. `openNode`: makes a client of one node of a distributed log. */
export const makeEventLog = Effect.fnUntraced(function* (connections: number, openNode: OpenNode) {
  const sql = yield* SqlClient.SqlClient
  const endReadOnlySessions = makeEndReadOnlySessions(sql, connections)
  const requireListed = makeRequireListed(sql)
  const endSilentConnections = yield* makeEndSilentConnections(sql, connections)
  const codec = yield* PayloadCodec
  const headsOnNodes = makeHeadsOnNodes(sql)
  const appendByNode = yield* makeAppendByNode(connections, openNode)

  /** Whether the log is distributed. The first call asks, because the database may be away when the server starts. */
  let distributed: boolean | undefined
  const askDistributed = isDistributed.pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.tap((answer) => {
      distributed = answer
      return answer ? Effect.logInfo("the log is distributed: appends go to its nodes by a function") : Effect.void
    }),
    unavailableSoon("look at the database")
  )
  const isOnNodes = Effect.suspend(() => (distributed === undefined ? askDistributed : Effect.succeed(distributed)))

  const heads = Effect.fnUntraced(
    function* (keys: ReadonlyArray<StreamKey>) {
      if (yield* isOnNodes) return yield* headsOnNodes(keys)
      const rows = yield* sql.unsafe<HeadRow | { readonly version: null }>(
        `SELECT s.version::float8 AS version, s.generation::float8 AS generation, s.chain
         FROM json_array_elements($1::json) WITH ORDINALITY AS k (key, i)
         LEFT JOIN sealog.streams s ON s.library_id = k.key->>0 AND s.stream_id = k.key->>1 ORDER BY k.i`,
        [JSON.stringify(keys.map(({ libraryId, streamId }) => [libraryId, streamId]))]
      )
      return rows.map((row): StreamHead => (row.version === null ? emptyHead : headOf(row)))
    },
    endSilentConnections,
    unavailableSoon("read heads")
  )

  const appendAtOnce = (batch: ReadonlyArray<Append>, leaveHeld: boolean) =>
    Effect.suspend(() => sql.unsafe<AppendRow>(...appendOf(codec, batch, leaveHeld))).pipe(
      endSilentConnections,
      Effect.tapError(endReadOnlySessions),
      unavailableSoon("append")
    )

  const append: EventLog["Service"]["append"] = Effect.fnUntraced(function* (batch, { leaveHeld = false } = {}) {
    const rows = yield* (yield* isOnNodes)
      ? endSilentConnections(appendByNode(batch, leaveHeld))
      : appendAtOnce(batch, leaveHeld)
    const found = new Map<number, Omit<GroupRow, "i">>(rows.map((row) => [row.i, row]))
    return yield* Effect.forEach(batch, ({ expectedVersion, key }, i) => {
      const { actual, committed, failure, key_taken } = found.get(i + 1) ?? NOT_FOUND
      if (failure !== undefined) return Effect.succeed<Appended>({ _tag: "Unreachable", failure })
      if (committed) return Effect.succeed<Appended>({ _tag: "Committed" })
      if (key_taken && (actual ?? 0) === expectedVersion) return Effect.succeed<Appended>({ _tag: "UniqueKeyTaken" })
      if (leaveHeld && actual === null && expectedVersion > 0) return Effect.succeed<Appended>({ _tag: "Held" })
      // Another transaction created the stream while this one looked for it.
      const isNew = actual === null && expectedVersion === 0
      const version = isNew ? Effect.map(heads([key]), ([head]) => head?.version ?? 0) : Effect.succeed(actual ?? 0)
      return Effect.map(version, (actualVersion): Appended => ({ _tag: "Conflict", actualVersion }))
    })
  })

  const holdStream = ({ libraryId, streamId }: StreamKey) =>
    // A stricter isolation would show the stream as it was before this transaction had to wait for it.
    sql`SET TRANSACTION ISOLATION LEVEL READ COMMITTED`.pipe(
      Effect.andThen(sql`SELECT set_config('idle_in_transaction_session_timeout', ${String(IDLE_MILLIS)}, true)`),
      Effect.andThen(
        sql`SELECT FROM sealog.streams WHERE library_id = ${libraryId} AND stream_id = ${streamId} FOR NO KEY UPDATE`
      )
    )

  const exclusively: EventLog["Service"]["exclusively"] = (key, use) =>
    holdStream(key).pipe(
      unavailable("hold a stream", TIMEOUT),
      Effect.andThen(use),
      sql.withTransaction,
      unavailable("hold a stream"),
      leftBehindAfter(TIMEOUT, { operation: "hold a stream", message: "the transaction does not end" })
    )

  const read: EventLog["Service"]["read"] = Effect.fnUntraced(
    function* (key, options) {
      const { after, limit, maxBytes, payloads } = options
      const isBounded = payloads !== false && maxBytes !== undefined
      const rows = yield* sql.unsafe<PlacedEventRow>(
        `SELECT ${EVENT_COLUMNS}, ${payloads === false ? "NULL::bytea" : PAYLOAD} AS payload FROM sealog.events e
         WHERE e.library_id = $1 AND e.stream_number = ${STREAM_NUMBER} AND e.version > $3::float8::bigint
         ${isBounded ? `AND e.version <= (${LAST_FITTING})` : ""} ORDER BY e.version LIMIT $4::float8::bigint`,
        [key.libraryId, key.streamId, after, limit ?? null, ...(isBounded ? [maxBytes] : [])]
      )
      if (rows.length === 0 && after === 0) yield* requireListed(key)
      return yield* placedEventsOf(codec, key, rows, options)
    },
    unavailable("read events", TIMEOUT)
  )

  const tail: EventLog["Service"]["tail"] = Effect.fnUntraced(
    function* (key, options) {
      const payloads = options?.payloads !== false
      // One statement sees one moment, whatever other processes write.
      const payload = payloads ? `CASE WHEN e.version >= s.checkpoint THEN ${PAYLOAD} END` : "NULL::bytea"
      const rows = yield* sql.unsafe<TailRow>(
        `SELECT ${EVENT_COLUMNS}, s.checkpoint::float8 AS checkpoint_version, s.version::float8 AS head_version,
           ${payload} AS payload FROM sealog.streams s
         LEFT JOIN sealog.events e
           ON e.library_id = s.library_id AND e.stream_number = s.stream_number AND e.version >= s.checkpoint - 1
         WHERE s.library_id = $1 AND s.stream_id = $2 ORDER BY e.version`,
        [key.libraryId, key.streamId]
      )
      if (rows.length === 0) yield* requireListed(key)
      return yield* tailOf(codec, key, rows)
    },
    unavailable("read a stream's tail", TIMEOUT)
  )

  const readKeyed: EventLog["Service"]["readKeyed"] = Effect.fnUntraced(
    function* (key, after) {
      // One statement sees one moment. Its first row is the event that has the key.
      const rows = yield* sql.unsafe<EventRow>(
        `SELECT ${EVENT_COLUMNS} FROM sealog.events named JOIN sealog.events e
           ON e.library_id = named.library_id AND e.stream_number = named.stream_number AND e.version >= named.version
         WHERE named.library_id = $1 AND named.stream_number = ${STREAM_NUMBER} AND named.snapshot_id = $3
           AND e.library_id = $1 AND e.stream_number = ${STREAM_NUMBER} AND e.snapshot_id IS NOT NULL ORDER BY e.version`,
        [key.libraryId, key.streamId, after]
      )
      return rows.length === 0 ? undefined : rows.slice(1).map((row) => eventOf(key, row))
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
    const ofLibrary = (column: Fragment) => (libraryId === undefined ? [] : [sql`${column} = ${libraryId}`])
    // The library is named for each table, so that Citus asks one node for it.
    const held = sql`LATERAL (
      SELECT count(*)::float8 AS payloads, coalesce(sum(p.bytes), 0)::float8 AS payload_bytes,
        coalesce(sum(p.bytes) FILTER (WHERE p.version >= s.checkpoint), 0)::float8 AS tail_bytes
      FROM sealog.payloads p
      WHERE ${sql.and([sql`p.library_id = s.library_id`, sql`p.stream_number = s.stream_number`, ...ofLibrary(sql`p.library_id`)])}
    ) p`
    const lastGeneration = sql`(SELECT e.generation::float8 FROM sealog.events e
      WHERE ${sql.and([sql`e.library_id = s.library_id`, sql`e.stream_number = s.stream_number`, sql`e.version = s.version`, ...ofLibrary(sql`e.library_id`)])})`
    const rows = yield* sql<StreamRow>`
      SELECT s.library_id, s.stream_id, s.version::float8 AS version, s.generation::float8 AS generation, s.chain,
        s.checkpoint::float8 AS checkpoint, s.created_at::float8 AS created_at, s.updated_at::float8 AS updated_at,
        ${payloads ? lastGeneration : sql`NULL::float8`} AS last_generation,
        ${payloads ? sql`p.payloads, p.payload_bytes, p.tail_bytes` : sql`0::float8 AS payloads, 0::float8 AS payload_bytes, 0::float8 AS tail_bytes`}
      FROM sealog.streams s ${payloads ? sql`, ${held}` : sql``}
      WHERE ${sql.and([
        // Only the conditions that were asked for, so that the primary key serves each of them.
        ...ofLibrary(sql`s.library_id`),
        ...(streamId === undefined ? [] : [sql`s.stream_id = ${streamId}`]),
        ...(after === undefined ? [] : [sql`(s.library_id, s.stream_id) > (${after.libraryId}, ${after.streamId})`]),
        sql`TRUE`
      ])}
      ORDER BY s.library_id, s.stream_id LIMIT ${limit}`
    return rows.map(streamSummaryOf)
  }, unavailable("list streams"))

  const countStreams: EventLog["Service"]["countStreams"] = Effect.fnUntraced(function* (libraryId) {
    const [row] = yield* sql<{ streams: number }>`
      SELECT count(*)::float8 AS streams FROM sealog.streams WHERE library_id = ${libraryId}`
    return row?.streams ?? 0
  }, unavailable("count streams"))

  const use: EventLog["Service"]["use"] = Effect.fnUntraced(function* (libraryId) {
    const [row] = yield* sql<LogUse>`
      SELECT
        (SELECT coalesce(sum(version), 0)::float8 FROM sealog.streams WHERE library_id = ${libraryId}) AS events,
        (SELECT coalesce(sum(bytes), 0)::float8 FROM sealog.payloads WHERE library_id = ${libraryId}) AS "payloadBytes"`
    return row ?? { events: 0, payloadBytes: 0 }
  }, unavailable("measure a library"))

  const libraries: EventLog["Service"]["libraries"] = Effect.fnUntraced(function* ({ after, limit }) {
    const rows = yield* sql<Omit<LibraryRow, "payload_bytes">>`
      SELECT library_id, count(*)::float8 AS streams, sum(version)::float8 AS events, max(updated_at)::float8 AS updated_at
      FROM sealog.streams WHERE library_id > ${after ?? ""} GROUP BY library_id ORDER BY library_id LIMIT ${limit}`
    if (rows.length === 0) return []
    const libraryIds = rows.map(({ library_id }) => library_id)
    const held = yield* sql<Pick<LibraryRow, "library_id" | "payload_bytes">>`
      SELECT library_id, sum(bytes)::float8 AS payload_bytes FROM sealog.payloads
      WHERE ${sql.in("library_id", libraryIds)} GROUP BY library_id`
    const bytes = new Map(held.map(({ library_id, payload_bytes }) => [library_id, payload_bytes]))
    return rows.map((row) => librarySummaryOf({ ...row, payload_bytes: bytes.get(row.library_id) ?? 0 }))
  }, unavailable("list libraries"))

  return {
    append,
    heads,
    read,
    tail,
    readKeyed,
    held,
    streams,
    countStreams,
    use,
    libraries,
    exclusively
  } satisfies EventLog["Service"]
})
