/**
 * Appends a batch in one transaction: compares every stream's version, then inserts all rows with few statements. Plain calls of
 * prepared statements, because Effect's statements take several times as long (docs/decisions/0065-plain-statements-for-appends.md).
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import type { Append, Appended, StreamKey } from "@sealog/server/ports"
import { hashBytes, hashText, headAfter, PayloadCodec } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqliteClient } from "#driver"
import { unavailable } from "./Unavailable.ts"

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

interface Statements {
  /** The last position and stream number of the log. */
  readonly last: StatementSync
  /** The end of a stream by its library and id. */
  readonly end: StatementSync
  readonly keyOwner: StatementSync
  readonly insertEvents: Insert
  readonly insertPayloads: Insert
  readonly upsertStreams: Insert
}

const prepare = (database: DatabaseSync): Statements => ({
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
interface Accepted {
  readonly item: Append
  readonly streamNumber: number
}

interface Judged {
  readonly results: ReadonlyArray<Appended>
  readonly accepted: ReadonlyArray<Accepted>
  /** The log's last position before the batch. */
  readonly position: number
}

const judge = ({ end, keyOwner, last }: Statements, batch: ReadonlyArray<Append>): Judged => {
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
const isKeyTaken = (keyOwner: StatementSync, streamNumber: number, { events }: Append): boolean => {
  const keys = new Set<string>()
  for (const { event } of events) {
    if (event.uniqueKey === undefined) continue
    if (keys.has(event.uniqueKey) || keyOwner.get(streamNumber, event.uniqueKey) !== undefined) return true
    keys.add(event.uniqueKey)
  }
  return false
}

const insert = (statements: Statements, codec: PayloadCodec, judged: Judged): void => {
  let { position } = judged
  const [events, payloads, streams]: [Array<SQLInputValue>, Array<SQLInputValue>, Array<SQLInputValue>] = [[], [], []]
  for (const { item, streamNumber } of judged.accepted) {
    for (const { event, packed, payload } of item.events) {
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
      if (payload !== null) payloads.push(position, payload.length, codec.pack(item.key, event, payload, packed))
    }
    pushStream(streams, streamNumber, item)
  }
  statements.insertEvents(events)
  statements.insertPayloads(payloads)
  statements.upsertStreams(streams)
}

export const makeAppend = Effect.gen(function* () {
  const sql = yield* SqliteClient
  const codec = yield* PayloadCodec
  let prepared: Statements | undefined
  const statementsOf = (database: DatabaseSync): Statements => {
    prepared ??= prepare(database)
    return prepared
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

  const appendInTurns = Effect.fnUntraced(function* (batch: ReadonlyArray<Append>) {
    const judged = yield* sql.withDatabase((database) => judge(statementsOf(database), batch))
    for (const { item, streamNumber } of judged.accepted) {
      if (item.purgeBefore !== undefined) yield* purge(streamNumber, item.purgeBefore, item.purgeFrom ?? 0)
    }
    yield* sql.withDatabase((database) => insert(statementsOf(database), codec, judged))
    return judged.results
  }, sql.withTransaction)

  const appendAtOnce = (batch: ReadonlyArray<Append>) =>
    sql.transact((database) => {
      const statements = statementsOf(database)
      const judged = judge(statements, batch)
      insert(statements, codec, judged)
      return judged.results
    })

  return (batch: ReadonlyArray<Append>) =>
    Effect.serviceOption(sql.transactionService).pipe(
      Effect.flatMap((transaction) =>
        transaction._tag === "Some" || batch.some(({ purgeBefore }) => purgeBefore !== undefined)
          ? appendInTurns(batch)
          : appendAtOnce(batch)
      ),
      unavailable("append")
    )
})

/** Payloads that one slice of a purge deletes, and their bytes; a larger one is a slice of its own. Some milliseconds. */
const [PURGED_ROWS, PURGED_BYTES] = [100, 256 * 1024] as const

/** Waits for the next turn of the event loop. */
export const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

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

/** The end of one stream. */
interface End {
  readonly stream_number: number
  readonly version: number
  readonly chain: Uint8Array
}

const isExpectedChain = ({ expectedChain }: Append, end: End | undefined): boolean =>
  expectedChain === undefined || expectedChain === (end === undefined ? "" : hashText(end.chain))

/** Streams as a parameter that `json_each` reads. */
export const keysJson = (keys: ReadonlyArray<StreamKey>): string =>
  JSON.stringify(keys.map(({ libraryId, streamId }) => [libraryId, streamId]))

const pushStream = (values: Array<SQLInputValue>, streamNumber: number, { events, key }: Append): void => {
  const head = headAfter(events)
  const checkpoint = events.findLast(({ event }) => event.checkpoint)?.event.version ?? 0
  const first = events[0].event.recordedAt
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
