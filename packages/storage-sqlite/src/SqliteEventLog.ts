/** The log in one SQLite file. One connection, so one transaction at a time: a batch is one transaction. */

import type { LibraryId, StreamHead, StreamKey } from "@sealog/server/ports"
import {
  type Append,
  type Appended,
  type EventLog,
  type LibrarySummary,
  type PlacedEvent,
  StorageUnavailable,
  type StreamSummary
} from "@sealog/server/ports"
import { advance, emptyHead, packPayload } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { type EventRow, eventOf, hashBytes, hashText, placedOf } from "./Rows.ts"

/** Rows per INSERT: few sizes, so that few statements are prepared and all of them once. */
const CHUNKS = [64, 16, 4, 1] as const

const EVENT_COLUMNS = [
  "position",
  "stream_number",
  "version",
  "generation",
  "type",
  "data",
  "payload_hash",
  "chain",
  "origin",
  "recorded_at",
  "checkpoint",
  "snapshot_id"
]
const PAYLOAD_COLUMNS = ["position", "bytes", "payload"]
const STREAM_COLUMNS = [
  "stream_number",
  "library_id",
  "stream_id",
  "version",
  "generation",
  "chain",
  "checkpoint",
  "created_at",
  "updated_at"
]
const UPSERT_STREAM = `ON CONFLICT (stream_number) DO UPDATE SET
  version = excluded.version, generation = excluded.generation, chain = excluded.chain,
  checkpoint = max(checkpoint, excluded.checkpoint), updated_at = excluded.updated_at`

const SELECT_EVENTS = `SELECT e.version, e.generation, e.type, e.data, e.payload_hash, e.chain, e.origin, e.recorded_at, e.checkpoint,
  e.snapshot_id AS unique_key`

/** The number of a stream by its library and name; null when there is none. */
const STREAM_NUMBER = "(SELECT stream_number FROM streams WHERE library_id = ? AND stream_id = ?)"

/** The version up to which payloads are of some size together, and at least the first; by their lengths alone. */
const LAST_FITTING = `SELECT coalesce(max(version) FILTER (WHERE bytes <= ?), min(version)) FROM
  (SELECT version, sum(length) OVER (ORDER BY version) AS bytes FROM
    (SELECT e.version, coalesce(p.bytes, 0) AS length
     FROM events e LEFT JOIN payloads p ON p.position = e.position
     WHERE e.stream_number = ${STREAM_NUMBER} AND e.version > ? ORDER BY e.version LIMIT ?))`

export const makeEventLog = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const insert = Effect.fnUntraced(function* (
    table: string,
    columns: ReadonlyArray<string>,
    rows: ReadonlyArray<ReadonlyArray<unknown>>,
    suffix = ""
  ) {
    let from = 0
    for (const size of CHUNKS) {
      while (rows.length - from >= size) {
        const row = `(${columns.map(() => "?").join(", ")})`
        const text = `INSERT INTO ${table} (${columns.join(", ")}) VALUES ${Array(size).fill(row).join(", ")} ${suffix}`
        yield* sql.unsafe(text, rows.slice(from, from + size).flat())
        from += size
      }
    }
  })

  /** The streams' numbers and where they end, in the order asked, and the last position and number of the log. */
  const ends = (keys: ReadonlyArray<StreamKey>) =>
    sql.unsafe<End>(
      `SELECT s.stream_number, s.version, (SELECT coalesce(max(position), 0) FROM events) AS last_position,
         (SELECT coalesce(max(stream_number), 0) FROM streams) AS last_number
       FROM json_each(?) k LEFT JOIN streams s
       ON s.library_id = k.value->>0 AND s.stream_id = k.value->>1 ORDER BY k.key`,
      [keysJson(keys)]
    )

  /** Whether an event's unique key is another event's, in the stream or in the same append. */
  const isKeyTaken = (streamNumber: number, { events }: Append) => {
    const uniqueKeys = events.flatMap(({ event }) => event.uniqueKey ?? [])
    if (uniqueKeys.length === 0) return Effect.succeed(false)
    if (new Set(uniqueKeys).size < uniqueKeys.length) return Effect.succeed(true)
    return Effect.map(
      sql`SELECT 1 FROM events WHERE stream_number = ${streamNumber} AND snapshot_id IN ${sql.in(uniqueKeys)}`,
      (rows) => rows.length > 0
    )
  }

  const purge = (streamNumber: number, before: number) => sql`
    DELETE FROM payloads WHERE position IN
      (SELECT position FROM events WHERE stream_number = ${streamNumber} AND version < ${before})`

  const append = Effect.fnUntraced(
    function* (batch: ReadonlyArray<Append>) {
      const found = yield* ends(batch.map(({ key }) => key))
      let { last_position: position = 0, last_number: lastNumber = 0 } = found[0] ?? {}
      const results: Array<Appended> = []
      const eventRows: Array<ReadonlyArray<unknown>> = []
      const payloadRows: Array<ReadonlyArray<unknown>> = []
      const streamRows: Array<ReadonlyArray<unknown>> = []
      for (const [i, item] of batch.entries()) {
        const actualVersion = found[i]?.version ?? 0
        const streamNumber = found[i]?.stream_number ?? lastNumber + 1
        if (actualVersion !== item.expectedVersion) {
          results.push({ _tag: "Conflict", actualVersion })
          continue
        }
        if (yield* isKeyTaken(streamNumber, item)) {
          results.push({ _tag: "UniqueKeyTaken" })
          continue
        }
        lastNumber = Math.max(lastNumber, streamNumber)
        if (item.purgeBefore !== undefined) yield* purge(streamNumber, item.purgeBefore)
        for (const { event, payload } of item.events) {
          position += 1
          eventRows.push([
            position,
            streamNumber,
            event.version,
            event.generation,
            event.type,
            JSON.stringify(event.data),
            event.payloadHash === "" ? null : hashBytes(event.payloadHash),
            hashBytes(event.chain),
            event.origin,
            event.recordedAt,
            event.checkpoint ? 1 : 0,
            event.uniqueKey ?? null
          ])
          if (payload !== null) payloadRows.push([position, payload.length, packPayload(item.key, event, payload)])
        }
        streamRows.push([streamNumber, ...streamRow(item)])
        results.push({ _tag: "Committed" })
      }
      yield* insert("events", EVENT_COLUMNS, eventRows)
      yield* insert("payloads", PAYLOAD_COLUMNS, payloadRows)
      yield* insert("streams", STREAM_COLUMNS, streamRows, UPSERT_STREAM)
      return results
    },
    sql.withTransaction,
    unavailable("append")
  )

  // A transaction holds the whole file.
  const exclusively: EventLog["Service"]["exclusively"] = (_, use) =>
    unavailable("hold a stream")(sql.withTransaction(use))

  const heads = Effect.fnUntraced(function* (keys: ReadonlyArray<StreamKey>) {
    const rows = yield* sql.unsafe<{ version: number | null; generation: number; chain: Uint8Array }>(
      `SELECT s.version, s.generation, s.chain FROM json_each(?) k LEFT JOIN streams s
       ON s.library_id = k.value->>0 AND s.stream_id = k.value->>1 ORDER BY k.key`,
      [keysJson(keys)]
    )
    return rows.map(
      ({ version, generation, chain }): StreamHead =>
        version === null ? emptyHead : { version, generation, chain: hashText(chain) }
    )
  }, unavailable("read heads"))

  const read: EventLog["Service"]["read"] = Effect.fnUntraced(function* (key, { after, limit, maxBytes, payloads }) {
    const isBounded = payloads !== false && maxBytes !== undefined
    const page = [key.libraryId, key.streamId, after, limit ?? -1]
    const rows = yield* sql.unsafe<EventRow>(
      `${SELECT_EVENTS}, ${payloads === false ? "NULL AS payload" : "p.payload"} FROM events e
       ${payloads === false ? "" : "LEFT JOIN payloads p ON p.position = e.position"}
       WHERE e.stream_number = ${STREAM_NUMBER} AND e.version > ?
       ${isBounded ? `AND e.version <= (${LAST_FITTING})` : ""} ORDER BY e.version LIMIT ?`,
      isBounded ? [...page.slice(0, 3), maxBytes, ...page, page[3]] : page
    )
    return rows.map((row) => placedOf(key, row))
  }, unavailable("read events"))

  const tail: EventLog["Service"]["tail"] = Effect.fnUntraced(function* (key, options) {
    const payloads = options?.payloads !== false
    // One statement, so it sees one moment, whatever other processes write.
    const rows = yield* sql.unsafe<EventRow>(
      `${SELECT_EVENTS}, ${payloads ? "p.payload" : "NULL AS payload"} FROM streams s
       JOIN events e ON e.stream_number = s.stream_number AND e.version >= s.checkpoint
       ${payloads ? "LEFT JOIN payloads p ON p.position = e.position" : ""}
       WHERE s.library_id = ? AND s.stream_id = ? ORDER BY e.version`,
      [key.libraryId, key.streamId]
    )
    const events = rows.map((row) => placedOf(key, row))
    return { head: headAfter(events), events }
  }, unavailable("read a stream's tail"))

  const readKeyed: EventLog["Service"]["readKeyed"] = Effect.fnUntraced(function* (key, after) {
    // One statement, so it sees one moment. Its first row is the event named.
    const rows = yield* sql.unsafe<Omit<EventRow, "payload">>(
      `${SELECT_EVENTS} FROM events named JOIN events e ON e.stream_number = named.stream_number
         AND e.version >= named.version
       WHERE named.stream_number = ${STREAM_NUMBER} AND named.snapshot_id = ? AND e.snapshot_id IS NOT NULL
       ORDER BY e.version`,
      [key.libraryId, key.streamId, after]
    )
    return rows.length === 0 ? undefined : rows.slice(1).map(eventOf)
  }, unavailable("read events by their unique key"))

  const held: EventLog["Service"]["held"] = Effect.fnUntraced(function* ({ libraryId, streamId }, before) {
    const [row] = yield* sql.unsafe<{ payloads: number; bytes: number }>(
      `SELECT count(*) AS payloads, coalesce(sum(p.bytes), 0) AS bytes
       FROM events e JOIN payloads p ON p.position = e.position
       WHERE e.stream_number = ${STREAM_NUMBER} AND e.version < ?`,
      [libraryId, streamId, before]
    )
    return { payloads: row?.payloads ?? 0, payloadBytes: row?.bytes ?? 0 }
  }, unavailable("measure payloads"))

  const streams: EventLog["Service"]["streams"] = Effect.fnUntraced(function* (options) {
    const { after, libraryId, limit, payloads = true, streamId } = options
    const counted = payloads ? 1 : 0
    const rows = yield* sql<StreamRow>`
      SELECT s.*,
        (SELECT count(*) FROM events e JOIN payloads p ON p.position = e.position
         WHERE ${counted} AND e.stream_number = s.stream_number) AS payloads,
        (SELECT coalesce(sum(p.bytes), 0) FROM events e JOIN payloads p ON p.position = e.position
         WHERE ${counted} AND e.stream_number = s.stream_number) AS payload_bytes
      FROM streams s
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
      `SELECT s.library_id, count(*) AS streams, sum(s.version) AS events, max(s.updated_at) AS updated_at,
              (SELECT coalesce(sum(p.bytes), 0) FROM streams t JOIN events e ON e.stream_number = t.stream_number
               JOIN payloads p ON p.position = e.position WHERE t.library_id = s.library_id) AS payload_bytes
       FROM streams s WHERE s.library_id > ? GROUP BY s.library_id ORDER BY s.library_id LIMIT ?`,
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

interface End {
  readonly stream_number: number | null
  readonly version: number | null
  readonly last_position: number
  readonly last_number: number
}

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

const keysJson = (keys: ReadonlyArray<StreamKey>): string =>
  JSON.stringify(keys.map(({ libraryId, streamId }) => [libraryId, streamId]))

const streamRow = ({ key, events }: Append): ReadonlyArray<unknown> => {
  const head = headAfter(events)
  const checkpoint = events.findLast(({ event }) => event.checkpoint)?.event.version ?? 0
  const first = events[0].event.recordedAt
  const last = events.at(-1)?.event.recordedAt ?? first
  return [
    key.libraryId,
    key.streamId,
    head.version,
    head.generation,
    head.chain === "" ? null : hashBytes(head.chain),
    checkpoint,
    first,
    last
  ]
}

const headAfter = (events: ReadonlyArray<PlacedEvent>): StreamHead => {
  const last = events.at(-1)?.event
  return last === undefined ? emptyHead : advance({ ...last, version: last.version - 1 }, last)
}

/**
 * What goes wrong with a statement of ours is the storage's trouble, and may pass; except what can only be a mistake
 * of ours, which is a defect.
 */
const unavailable =
  (operation: string) =>
  <A, R>(
    effect: Effect.Effect<A, SqlError.SqlError | StorageUnavailable, R>
  ): Effect.Effect<A, StorageUnavailable, R> =>
    Effect.catch(effect, (error) => {
      if (error instanceof StorageUnavailable) return Effect.fail(error)
      return MISTAKES.has(error.reason._tag)
        ? Effect.die(error)
        : Effect.fail(new StorageUnavailable({ operation, cause: error }))
    })

const MISTAKES: ReadonlySet<string> = new Set(["ConstraintError", "UniqueViolation", "SqlSyntaxError"])
