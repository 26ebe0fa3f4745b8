/** Appends a batch in one transaction: compares every stream's version, then inserts all rows with few statements. */
import type { Append, Appended, StreamKey } from "@sealog/server/ports"
import { hashBytes, hashText, headAfter, PayloadCodec } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { unavailable } from "./Unavailable.ts"

/** Rows of one INSERT. Few sizes, so that few statements are prepared, and each of them once. */
const CHUNKS = [64, 16, 4, 1] as const

type Row = ReadonlyArray<unknown>

interface Table {
  readonly name: string
  /** In the order of the values of a row. */
  readonly columns: ReadonlyArray<string>
  readonly onConflict?: string
}

const EVENTS: Table = {
  name: "events",
  columns: [
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
    // The event's unique key: the column has its name from the time when snapshots alone had one.
    "snapshot_id"
  ]
}

const PAYLOADS: Table = { name: "payloads", columns: ["position", "bytes", "payload"] }

const STREAMS: Table = {
  name: "streams",
  columns: [
    "stream_number",
    "library_id",
    "stream_id",
    "version",
    "generation",
    "chain",
    "checkpoint",
    "created_at",
    "updated_at"
  ],
  onConflict: `ON CONFLICT (stream_number) DO UPDATE SET
    version = excluded.version, generation = excluded.generation, chain = excluded.chain,
    checkpoint = max(checkpoint, excluded.checkpoint), updated_at = excluded.updated_at`
}

export const makeAppend = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const codec = yield* PayloadCodec

  const insert = Effect.fnUntraced(function* ({ name, columns, onConflict = "" }: Table, rows: ReadonlyArray<Row>) {
    let from = 0
    for (const size of CHUNKS) {
      while (rows.length - from >= size) {
        const row = `(${columns.map(() => "?").join(", ")})`
        const text = `INSERT INTO ${name} (${columns.join(", ")}) VALUES ${Array(size).fill(row).join(", ")} ${onConflict}`
        yield* sql.unsafe(text, rows.slice(from, from + size).flat())
        from += size
      }
    }
  })

  /** Reads the streams' numbers and versions in the order of the batch, with the log's last position and stream number. */
  const readEnds = (batch: ReadonlyArray<Append>) =>
    sql.unsafe<End>(
      `SELECT s.stream_number, s.version, s.chain, (SELECT coalesce(max(position), 0) FROM events) AS last_position,
         (SELECT coalesce(max(stream_number), 0) FROM streams) AS last_number
       FROM json_each(?) k LEFT JOIN streams s
       ON s.library_id = k.value->>0 AND s.stream_id = k.value->>1 ORDER BY k.key`,
      [keysJson(batch.map(({ key }) => key))]
    )

  /** Whether an event's unique key belongs to another event of the stream or of the same append. */
  const isKeyTaken = (streamNumber: number, { events }: Append) => {
    const uniqueKeys = events.flatMap(({ event }) => event.uniqueKey ?? [])
    if (uniqueKeys.length === 0) return Effect.succeed(false)
    if (new Set(uniqueKeys).size < uniqueKeys.length) return Effect.succeed(true)
    return Effect.map(
      sql`SELECT 1 FROM events WHERE stream_number = ${streamNumber} AND snapshot_id IN ${sql.in(uniqueKeys)}`,
      (rows) => rows.length > 0
    )
  }

  /** Deletes payloads in slices. Other work of the process, though not of the database, goes on between two of them. */
  const purge = Effect.fnUntraced(function* (streamNumber: number, before: number, first: number) {
    let from = first
    while (true) {
      const found = yield* sql.unsafe<Purged>(SELECT_PURGED, [streamNumber, from, before])
      const slice = sliceOf(found)
      if (slice.length === 0) return
      yield* sql.unsafe("DELETE FROM payloads WHERE position IN (SELECT value FROM json_each(?))", [
        JSON.stringify(slice.map(({ position }) => position))
      ])
      if (slice.length === found.length && found.length < PURGED_ROWS) return
      from = slice.at(-1)!.version + 1
      yield* nextTurn
    }
  })

  return Effect.fnUntraced(
    function* (batch: ReadonlyArray<Append>) {
      const ends = yield* readEnds(batch)
      let { last_position: position = 0, last_number: lastNumber = 0 } = ends[0] ?? {}
      const results: Array<Appended> = []
      const [events, payloads, streams]: [Array<Row>, Array<Row>, Array<Row>] = [[], [], []]
      for (const [i, item] of batch.entries()) {
        const actualVersion = ends[i]?.version ?? 0
        const streamNumber = ends[i]?.stream_number ?? lastNumber + 1
        if (actualVersion !== item.expectedVersion || !isExpectedChain(item, ends[i]?.chain ?? null)) {
          results.push({ _tag: "Conflict", actualVersion })
          continue
        }
        if (yield* isKeyTaken(streamNumber, item)) {
          results.push({ _tag: "UniqueKeyTaken" })
          continue
        }
        lastNumber = Math.max(lastNumber, streamNumber)
        if (item.purgeBefore !== undefined) yield* purge(streamNumber, item.purgeBefore, item.purgeFrom ?? 0)
        for (const { event, payload } of item.events) {
          position += 1
          events.push([
            position,
            streamNumber,
            event.version,
            event.generation,
            event.type,
            JSON.stringify(event.data),
            hashBytes(event.payloadHash),
            hashBytes(event.chain),
            event.origin,
            event.recordedAt,
            event.checkpoint ? 1 : 0,
            event.uniqueKey ?? null
          ])
          if (payload !== null) payloads.push([position, payload.length, codec.pack(item.key, event, payload)])
        }
        streams.push(streamRow(streamNumber, item))
        results.push({ _tag: "Committed" })
      }
      yield* insert(EVENTS, events)
      yield* insert(PAYLOADS, payloads)
      yield* insert(STREAMS, streams)
      return results
    },
    sql.withTransaction,
    unavailable("append")
  )
})

/** Payloads that one slice of a purge deletes, and their bytes; a larger one is a slice of its own. Some milliseconds. */
const [PURGED_ROWS, PURGED_BYTES] = [100, 256 * 1024] as const

/** Waits for the next turn of the event loop. */
const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

const SELECT_PURGED = `SELECT e.version, e.position, p.bytes FROM events e JOIN payloads p ON p.position = e.position
  WHERE e.stream_number = ? AND e.version >= ? AND e.version < ? ORDER BY e.version LIMIT ${PURGED_ROWS}`

interface Purged {
  readonly version: number
  readonly position: number
  readonly bytes: number
}

const sliceOf = (found: ReadonlyArray<Purged>): ReadonlyArray<Purged> => {
  let bytes = 0
  const end = found.findIndex((payload, i) => {
    bytes += payload.bytes
    return bytes > PURGED_BYTES && i > 0
  })
  return end === -1 ? found : found.slice(0, end)
}

/** The end of one stream, null if it does not exist, and the end of the log. */
interface End {
  readonly stream_number: number | null
  readonly version: number | null
  readonly chain: Uint8Array | null
  readonly last_position: number
  readonly last_number: number
}

const isExpectedChain = ({ expectedChain }: Append, chain: Uint8Array | null): boolean =>
  expectedChain === undefined || expectedChain === (chain === null ? "" : hashText(chain))

/** Streams as a parameter that `json_each` reads. */
export const keysJson = (keys: ReadonlyArray<StreamKey>): string =>
  JSON.stringify(keys.map(({ libraryId, streamId }) => [libraryId, streamId]))

const streamRow = (streamNumber: number, { key, events }: Append): Row => {
  const head = headAfter(events)
  const checkpoint = events.findLast(({ event }) => event.checkpoint)?.event.version ?? 0
  const first = events[0].event.recordedAt
  const last = events.at(-1)?.event.recordedAt ?? first
  return [
    streamNumber,
    key.libraryId,
    key.streamId,
    head.version,
    head.generation,
    hashBytes(head.chain),
    checkpoint,
    first,
    last
  ]
}
