/** The statements of an append, and the rules by which they are used: plain functions, on whatever thread has the database. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import type { Append, Appended, StreamEvent } from "@sealog/server/ports"
import { hashBytes, hashText, headAfter } from "@sealog/server/storage"

/** An append, with its payloads as they are stored. */
export interface PackedAppend extends Omit<Append, "events"> {
  readonly events: ReadonlyArray<PackedEvent>
}

export interface PackedEvent {
  readonly event: StreamEvent
  readonly payload: PackedPayload | null
}

export interface PackedPayload {
  /** Of the payload itself. */
  readonly length: number
  readonly packed: Uint8Array
}

/** Rows of one INSERT. Few sizes, so that few statements are prepared, and each of them once. */
const CHUNKS = [64, 16, 4, 1] as const

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

/** Inserts rows, whose values follow one another. */
type Insert = (values: ReadonlyArray<SQLInputValue>) => void

const prepareInsert = (database: DatabaseSync, { columns, name, onConflict = "" }: Table): Insert => {
  const row = `(${columns.map(() => "?").join(", ")})`
  const chunks = CHUNKS.map((size) => ({
    length: size * columns.length,
    statement: database.prepare(
      `INSERT INTO ${name} (${columns.join(", ")}) VALUES ${Array(size).fill(row).join(", ")} ${onConflict}`
    )
  }))
  return (values) => {
    let from = 0
    for (const { length, statement } of chunks) {
      for (; values.length - from >= length; from += length) {
        statement.run(...(length === values.length ? values : values.slice(from, from + length)))
      }
    }
  }
}

export interface Statements {
  /** The last position and stream number of the log. */
  readonly last: StatementSync
  /** The end of a stream by its library and id. */
  readonly end: StatementSync
  readonly keyOwner: StatementSync
  readonly insertEvents: Insert
  readonly insertPayloads: Insert
  readonly upsertStreams: Insert
}

export const prepare = (database: DatabaseSync): Statements => ({
  last: database.prepare(
    `SELECT (SELECT coalesce(max(position), 0) FROM events) AS position,
       (SELECT coalesce(max(stream_number), 0) FROM streams) AS number`
  ),
  end: database.prepare("SELECT stream_number, version, chain FROM streams WHERE library_id = ? AND stream_id = ?"),
  keyOwner: database.prepare("SELECT version FROM events WHERE stream_number = ? AND snapshot_id = ?"),
  insertEvents: prepareInsert(database, EVENTS),
  insertPayloads: prepareInsert(database, PAYLOADS),
  upsertStreams: prepareInsert(database, STREAMS)
})

/** An append to a stream that is where the writer takes it to be. */
export interface Accepted {
  readonly item: PackedAppend
  readonly streamNumber: number
}

export interface Judged {
  readonly results: ReadonlyArray<Appended>
  readonly accepted: ReadonlyArray<Accepted>
  /** The log's last position before the batch. */
  readonly position: number
}

export const judge = ({ end, keyOwner, last }: Statements, batch: ReadonlyArray<PackedAppend>): Judged => {
  const { number, position } = last.get() as unknown as { readonly number: number; readonly position: number }
  let lastNumber = number
  const accepted: Array<Accepted> = []
  const results = batch.map((item): Appended => {
    const { expectedVersion, key } = item
    const found = end.get(key.libraryId, key.streamId) as unknown as End | undefined
    const actualVersion = found?.version ?? 0
    if (actualVersion !== expectedVersion || !isExpectedChain(item, found)) return { _tag: "Conflict", actualVersion }
    const streamNumber = found?.stream_number ?? lastNumber + 1
    if (isKeyTaken(keyOwner, streamNumber, item)) return { _tag: "UniqueKeyTaken" }
    lastNumber = Math.max(lastNumber, streamNumber)
    accepted.push({ item, streamNumber })
    return { _tag: "Committed" }
  })
  return { results, accepted, position }
}

/** Whether an event's unique key belongs to another event of the stream or of the same append. */
const isKeyTaken = (keyOwner: StatementSync, streamNumber: number, { events }: PackedAppend): boolean => {
  const keys = new Set<string>()
  for (const { event } of events) {
    if (event.uniqueKey === undefined) continue
    if (keys.has(event.uniqueKey) || keyOwner.get(streamNumber, event.uniqueKey) !== undefined) return true
    keys.add(event.uniqueKey)
  }
  return false
}

export const insert = (statements: Statements, judged: Judged): void => {
  let { position } = judged
  const [events, payloads, streams]: [Array<SQLInputValue>, Array<SQLInputValue>, Array<SQLInputValue>] = [[], [], []]
  for (const { item, streamNumber } of judged.accepted) {
    for (const { event, payload } of item.events) {
      position += 1
      events.push(
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
      )
      if (payload !== null) payloads.push(position, payload.length, payload.packed)
    }
    pushStream(streams, streamNumber, item)
  }
  statements.insertEvents(events)
  statements.insertPayloads(payloads)
  statements.upsertStreams(streams)
}

/** The end of one stream. */
interface End {
  readonly stream_number: number
  readonly version: number
  readonly chain: Uint8Array
}

const isExpectedChain = ({ expectedChain }: PackedAppend, end: End | undefined): boolean =>
  expectedChain === undefined || expectedChain === (end === undefined ? "" : hashText(end.chain))

const pushStream = (values: Array<SQLInputValue>, streamNumber: number, { events, key }: PackedAppend): void => {
  const head = headAfter(events)
  const checkpoint = events.findLast(({ event }) => event.checkpoint)?.event.version ?? 0
  const first = events[0]!.event.recordedAt
  const last = events.at(-1)?.event.recordedAt ?? first
  values.push(
    streamNumber,
    key.libraryId,
    key.streamId,
    head.version,
    head.generation,
    hashBytes(head.chain),
    checkpoint,
    first,
    last
  )
}
