/**
 * Appends a batch in one transaction: compares every stream's version, then inserts all rows with few statements. Plain calls of
 * prepared statements, because Effect's statements take several times as long (docs/decisions/0065-plain-statements-for-appends.md).
 */
import type { DatabaseSync } from "node:sqlite"
import type { Append, StreamKey } from "@sealog/server/ports"
import { nextTurn, PayloadCodec } from "@sealog/server/storage"
import { Effect } from "effect"
import { SqliteClient } from "#driver"
import { insert, judge, type PackedAppend, prepare, type Statements } from "./AppendStatements.ts"
import { makeLargeAppend } from "./LargeAppend.ts"
import { unavailable } from "./Unavailable.ts"

export const makeAppend = Effect.gen(function* () {
  const sql = yield* SqliteClient
  const codec = yield* PayloadCodec
  const appendLarge = yield* makeLargeAppend(sql)
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

  const appendInTurns = Effect.fnUntraced(function* (batch: ReadonlyArray<PackedAppend>) {
    const judged = yield* sql.withDatabase((database) => judge(statementsOf(database), batch))
    for (const { item, streamNumber } of judged.accepted) {
      if (item.purgeBefore !== undefined) yield* purge(streamNumber, item.purgeBefore, item.purgeFrom ?? 0)
    }
    yield* sql.withDatabase((database) => insert(statementsOf(database), judged))
    return judged.results
  }, sql.withTransaction)

  const appendAtOnce = (batch: ReadonlyArray<PackedAppend>) =>
    sql.transact((database) => {
      const statements = statementsOf(database)
      const judged = judge(statements, batch)
      insert(statements, judged)
      return judged.results
    })

  return (batch: ReadonlyArray<Append>) =>
    Effect.serviceOption(sql.transactionService).pipe(
      Effect.flatMap((transaction) => {
        const packed = batch.map((append) => packedWith(codec, append))
        if (transaction._tag === "Some" || batch.some(({ purgeBefore }) => purgeBefore !== undefined))
          return appendInTurns(packed)
        return appendLarge !== undefined && isLarge(packed) ? appendLarge(packed) : appendAtOnce(packed)
      }),
      unavailable("append")
    )
})

const packedWith = (codec: PayloadCodec, { events, ...append }: Append): PackedAppend => ({
  ...append,
  events: events.map(({ event, packed, payload }) => ({
    event,
    payload:
      payload === null ? null : { length: payload.length, packed: codec.pack(append.key, event, payload, packed) }
  }))
})

/** Bytes of payloads that are appended by the driver, on the main thread; some ten milliseconds with the flush of the disk. */
const SMALL_BYTES = 1024 * 1024

const isLarge = (batch: ReadonlyArray<PackedAppend>): boolean => {
  let bytes = 0
  for (const { events } of batch) for (const { payload } of events) bytes += payload?.packed.length ?? 0
  return bytes > SMALL_BYTES
}

/** Payloads that one slice of a purge deletes, and their bytes; a larger one is a slice of its own. Some milliseconds. */
const [PURGED_ROWS, PURGED_BYTES] = [100, 256 * 1024] as const

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

/** Streams as a parameter that `json_each` reads. */
export const keysJson = (keys: ReadonlyArray<StreamKey>): string =>
  JSON.stringify(keys.map(({ libraryId, streamId }) => [libraryId, streamId]))
