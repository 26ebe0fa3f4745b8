/** The event log in one SQLite file, over one connection: its transactions run one after another. */
import type { EventLog, StreamHead, StreamKey } from "@sealog/server/ports"
import {
  type EventRow,
  emptyHead,
  eventOf,
  hashText,
  type LibraryRow,
  librarySummaryOf,
  nextTurn,
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
import { keysJson, makeAppend } from "./Append.ts"
import { makeRequireListed } from "./ListedStreams.ts"
import { COUNTED_STREAMS, type StreamSize, SUM_OF_SLICE, slicesOf } from "./PayloadSlices.ts"
import { unavailable } from "./Unavailable.ts"

/** The column `snapshot_id` holds the unique key of any event. */
const SELECT_EVENTS = `SELECT e.version, e.generation, e.type, e.data, e.payload_hash, e.chain, e.origin, e.recorded_at,
  e.checkpoint, e.snapshot_id AS unique_key`

/** The number of a stream by its library and id; null if there is no such stream. */
const STREAM_NUMBER = "(SELECT stream_number FROM streams WHERE library_id = ? AND stream_id = ?)"

/**
 * The last version of a page whose payloads have a given size together, at least the page's first version. Reads the payloads'
 * sizes only.
 */
const LAST_FITTING = `SELECT coalesce(max(version) FILTER (WHERE bytes <= ?), min(version)) FROM
  (SELECT version, sum(length) OVER (ORDER BY version) AS bytes FROM
    (SELECT e.version, coalesce(p.bytes, 0) AS length
     FROM events e LEFT JOIN payloads p ON p.position = e.position
     WHERE e.stream_number = ${STREAM_NUMBER} AND e.version > ? ORDER BY e.version LIMIT ?))`

export const makeEventLog = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const codec = yield* PayloadCodec
  const append: EventLog["Service"]["append"] = yield* makeAppend
  const requireListed = yield* makeRequireListed

  // A transaction locks the whole file, so it holds every stream still.
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

  const read: EventLog["Service"]["read"] = Effect.fnUntraced(function* (key, options) {
    const { after, limit, maxBytes, payloads } = options
    const isBounded = payloads !== false && maxBytes !== undefined
    const page = [key.libraryId, key.streamId, after, limit ?? -1]
    const rows = yield* sql.unsafe<PlacedEventRow>(
      `${SELECT_EVENTS}, ${payloads === false ? "NULL AS payload" : "p.payload"} FROM events e
       ${payloads === false ? "" : "LEFT JOIN payloads p ON p.position = e.position"}
       WHERE e.stream_number = ${STREAM_NUMBER} AND e.version > ?
       ${isBounded ? `AND e.version <= (${LAST_FITTING})` : ""} ORDER BY e.version LIMIT ?`,
      isBounded ? [...page.slice(0, 3), maxBytes, ...page, page[3]] : page
    )
    if (rows.length === 0 && after === 0) yield* requireListed(key)
    return yield* placedEventsOf(codec, key, rows, options)
  }, unavailable("read events"))

  const tail: EventLog["Service"]["tail"] = Effect.fnUntraced(function* (key, options) {
    const payloads = options?.payloads !== false
    // One statement sees one moment, whatever other processes write.
    const rows = yield* sql.unsafe<TailRow>(
      `${SELECT_EVENTS}, s.checkpoint AS checkpoint_version, s.version AS head_version,
         ${payloads ? "p.payload" : "NULL AS payload"} FROM streams s
       LEFT JOIN events e ON e.stream_number = s.stream_number AND e.version >= s.checkpoint - 1
       ${payloads ? "LEFT JOIN payloads p ON p.position = e.position AND e.version >= s.checkpoint" : ""}
       WHERE s.library_id = ? AND s.stream_id = ? ORDER BY e.version`,
      [key.libraryId, key.streamId]
    )
    if (rows.length === 0) yield* requireListed(key)
    return yield* tailOf(codec, key, rows)
  }, unavailable("read a stream's tail"))

  const readKeyed: EventLog["Service"]["readKeyed"] = Effect.fnUntraced(function* (key, after) {
    // One statement sees one moment. Its first row is the event that has the key.
    const rows = yield* sql.unsafe<EventRow>(
      `${SELECT_EVENTS} FROM events named JOIN events e ON e.stream_number = named.stream_number
         AND e.version >= named.version
       WHERE named.stream_number = ${STREAM_NUMBER} AND named.snapshot_id = ? AND e.snapshot_id IS NOT NULL
       ORDER BY e.version`,
      [key.libraryId, key.streamId, after]
    )
    return rows.length === 0 ? undefined : rows.slice(1).map((row) => eventOf(key, row))
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
        (SELECT e.generation FROM events e
         WHERE ${counted} AND e.stream_number = s.stream_number AND e.version = s.version) AS last_generation,
        (SELECT count(*) FROM events e JOIN payloads p ON p.position = e.position
         WHERE ${counted} AND e.stream_number = s.stream_number) AS payloads,
        (SELECT coalesce(sum(p.bytes), 0) FROM events e JOIN payloads p ON p.position = e.position
         WHERE ${counted} AND e.stream_number = s.stream_number) AS payload_bytes,
        (SELECT coalesce(sum(p.bytes), 0) FROM events e JOIN payloads p ON p.position = e.position
         WHERE ${counted} AND e.stream_number = s.stream_number AND e.version >= s.checkpoint) AS tail_bytes
      FROM streams s
      WHERE ${sql.and([
        // Only the conditions that were asked for, so that an index serves each of them.
        ...(libraryId === undefined ? [] : [sql`s.library_id = ${libraryId}`]),
        ...(streamId === undefined ? [] : [sql`s.stream_id = ${streamId}`]),
        ...(after === undefined ? [] : [sql`(s.library_id, s.stream_id) > (${after.libraryId}, ${after.streamId})`]),
        sql`TRUE`
      ])}
      ORDER BY s.library_id, s.stream_id LIMIT ${limit}`
    return rows.map(streamSummaryOf)
  }, unavailable("list streams"))

  const countStreams: EventLog["Service"]["countStreams"] = Effect.fnUntraced(function* (libraryId) {
    const [row] = yield* sql<{ streams: number }>`
      SELECT count(*) AS streams FROM streams WHERE library_id = ${libraryId}`
    return row?.streams ?? 0
  }, unavailable("count streams"))

  const use: EventLog["Service"]["use"] = Effect.fnUntraced(function* (libraryId) {
    let [events, payloadBytes] = [0, 0]
    let after = ""
    while (true) {
      const page = yield* sql<StreamSize>`
        SELECT stream_id, stream_number, version FROM streams WHERE library_id = ${libraryId} AND stream_id > ${after}
        ORDER BY stream_id LIMIT ${COUNTED_STREAMS}`
      for (const slice of slicesOf(page)) {
        const [sum] = yield* sql.unsafe<{ bytes: number }>(SUM_OF_SLICE, [JSON.stringify(slice)])
        payloadBytes += sum?.bytes ?? 0
        yield* nextTurn
      }
      events += page.reduce((sum, { version }) => sum + version, 0)
      if (page.length < COUNTED_STREAMS) return { events, payloadBytes }
      after = page.at(-1)!.stream_id
    }
  }, unavailable("measure a library"))

  const libraries: EventLog["Service"]["libraries"] = Effect.fnUntraced(function* ({ after, limit }) {
    const rows = yield* sql.unsafe<LibraryRow>(
      `SELECT s.library_id, count(*) AS streams, sum(s.version) AS events, max(s.updated_at) AS updated_at,
              (SELECT coalesce(sum(p.bytes), 0) FROM streams t JOIN events e ON e.stream_number = t.stream_number
               JOIN payloads p ON p.position = e.position WHERE t.library_id = s.library_id) AS payload_bytes
       FROM streams s WHERE s.library_id > ? GROUP BY s.library_id ORDER BY s.library_id LIMIT ?`,
      [after ?? "", limit]
    )
    return rows.map(librarySummaryOf)
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
