/** Rows of a database and the values of the port: hashes are 32 bytes in a row, and URL-safe base64 everywhere else. */
import { Effect } from "effect"
import type { Hash, LibraryId } from "../domain/Ids.ts"
import type { Steps } from "../domain/Steps.ts"
import { advance, emptyHead, type StreamEvent, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { inTurns } from "../internal/inTurns.ts"
import {
  type LibrarySummary,
  LogDamaged,
  type PlacedEvent,
  type ReadOptions,
  type StreamSummary
} from "../ports/EventLog.ts"
import type { PayloadCodec } from "./PayloadCodec.ts"

export interface EventRow {
  readonly version: number
  readonly generation: number
  readonly type: string
  /** JSON. */
  readonly data: string
  readonly payload_hash: Uint8Array | null
  readonly chain: Uint8Array
  readonly origin: string
  readonly recorded_at: number
  /** 1 or 0 in a database without booleans. */
  readonly checkpoint: boolean | number
  readonly unique_key: string | null
}

export interface PlacedEventRow extends EventRow {
  /** As the payload codec packed it; null when the event has no payload or it was purged. */
  readonly payload: Uint8Array | null
}

/** A row of `streams`, with its payloads counted. */
export interface StreamRow {
  readonly library_id: LibraryId
  readonly stream_id: string
  readonly version: number
  readonly generation: number
  readonly chain: Uint8Array
  readonly checkpoint: number
  /** The generation of the last event; null: the event is missing, or nothing is counted. */
  readonly last_generation: number | null
  readonly created_at: number
  readonly updated_at: number
  readonly payloads: number
  readonly payload_bytes: number
  readonly tail_bytes: number
}

/** The streams of a library, summed up. */
export interface LibraryRow {
  readonly library_id: LibraryId
  readonly streams: number
  readonly events: number
  readonly payload_bytes: number
  readonly updated_at: number
}

/** Null for "", which stands for no hash. */
export const hashBytes = (hash: Hash | ""): Uint8Array | null => (hash === "" ? null : Buffer.from(hash, "base64url"))

export const hashText = (bytes: Uint8Array): Hash =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url") as Hash

/** Throws `LogDamaged` when the row cannot be decoded: a damaged log is not served. */
export const eventOf = ({ libraryId, streamId }: StreamKey, row: EventRow): StreamEvent => {
  try {
    return decode(row)
  } catch (cause) {
    throw new LogDamaged({ libraryId, streamId, version: row.version, detail: "the event cannot be decoded", cause })
  }
}

const decode = (row: EventRow): StreamEvent => {
  const event: StreamEvent = {
    version: row.version,
    generation: row.generation,
    type: row.type,
    data: JSON.parse(row.data),
    payloadHash: row.payload_hash === null ? "" : hashText(row.payload_hash),
    chain: hashText(row.chain),
    origin: row.origin,
    recordedAt: row.recorded_at,
    checkpoint: Boolean(row.checkpoint)
  }
  return row.unique_key === null ? event : { ...event, uniqueKey: row.unique_key }
}

/** Bytes of payloads that are unpacked at once: a millisecond. */
const AT_ONCE = 1024 * 1024

/**
 * The events of rows; in turns of the event loop, if their payloads are large. Dies of `LogDamaged` when a row cannot be decoded.
 * Does not compare the payloads with their hashes.
 */
export const placedEventsOf = (
  codec: PayloadCodec,
  key: StreamKey,
  rows: ReadonlyArray<PlacedEventRow>,
  { leavePacked = false }: Pick<ReadOptions, "leavePacked"> = {}
): Effect.Effect<ReadonlyArray<PlacedEvent>> =>
  Effect.suspend(() => {
    let bytes = 0
    for (const { payload } of rows) bytes += payload?.length ?? 0
    if (bytes <= AT_ONCE) return Effect.succeed(rows.map((row) => placedEventOf(codec, key, row, leavePacked)))
    return inTurns(placedInSteps(codec, key, rows, leavePacked))
  })

/** Throws `LogDamaged` when the row cannot be decoded. */
export const placedEventOf = (
  codec: PayloadCodec,
  key: StreamKey,
  row: PlacedEventRow,
  leavePacked = false
): PlacedEvent => {
  const event = eventOf(key, row)
  const { payload } = row
  return (
    withoutUnpacking(codec, key, event, payload, leavePacked) ?? {
      event,
      payload: ownBytes(codec.unpack(key, event, payload!))
    }
  )
}

/** An event that has no payload, or whose payload is left packed; undefined: its payload has to be unpacked. */
const withoutUnpacking = (
  codec: PayloadCodec,
  key: StreamKey,
  event: StreamEvent,
  payload: Uint8Array | null,
  leavePacked: boolean
): PlacedEvent | undefined => {
  if (payload === null) return { event, payload }
  const packed = leavePacked ? codec.leavePacked?.(key, event, payload) : undefined
  return packed && { event, payload: null, packed: { ...packed, bytes: ownBytes(packed.bytes) } }
}

const placedInSteps = function* (
  codec: PayloadCodec,
  key: StreamKey,
  rows: ReadonlyArray<PlacedEventRow>,
  leavePacked: boolean
): Steps<ReadonlyArray<PlacedEvent>> {
  const events: Array<PlacedEvent> = []
  for (const row of rows) {
    const event = eventOf(key, row)
    const whole = withoutUnpacking(codec, key, event, row.payload, leavePacked)
    if (whole !== undefined) events.push(whole)
    else {
      const stored = row.payload!
      const unpacked = codec.unpackInSteps
        ? yield* codec.unpackInSteps(key, event, stored)
        : codec.unpack(key, event, stored)
      events.push({ event, payload: ownBytes(unpacked) })
    }
    yield
  }
  return events
}

/**
 * A row of a stream's tail. The first row is the event before the tail, without its payload, if there is one. A stream whose events
 * are gone has a row without an event.
 */
export interface TailRow extends PlacedEventRow {
  /** The version of the stream's head, as the storage keeps it beside the events. */
  readonly head_version: number
  /** The version of the stream's newest checkpoint; 0: there is none. */
  readonly checkpoint_version: number
}

/** As `placedEventsOf`. Dies of `LogDamaged` also if the last events are missing. */
export const tailOf = (codec: PayloadCodec, key: StreamKey, rows: ReadonlyArray<TailRow>) => {
  const [first, last] = [rows[0], rows.at(-1)]
  if (last !== undefined && last.version !== last.head_version) {
    const { libraryId, streamId } = key
    const detail = "the event is missing"
    return Effect.die(new LogDamaged({ libraryId, streamId, version: last.head_version, detail }))
  }
  const isBefore = first !== undefined && first.version < first.checkpoint_version
  return Effect.map(placedEventsOf(codec, key, isBefore ? rows.slice(1) : rows), (events) => ({
    before: isBefore ? hashText(first.chain) : ("" as const),
    head: headAfter(events),
    events
  }))
}

/** A driver may return views into a buffer of many rows. A small payload that is kept would keep the whole buffer. */
const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()

/** The head that a stream has after its events; the empty head without any. */
export const headAfter = (events: ReadonlyArray<Pick<PlacedEvent, "event">>): StreamHead => {
  const last = events.at(-1)?.event
  return last === undefined ? emptyHead : advance({ ...emptyHead, generation: last.generation }, last)
}

export const streamSummaryOf = (row: StreamRow): StreamSummary => ({
  key: { libraryId: row.library_id, streamId: row.stream_id },
  version: row.version,
  generation: row.generation,
  chain: hashText(row.chain),
  checkpoint: row.checkpoint,
  ended: row.last_generation !== null && row.last_generation < row.generation,
  payloads: row.payloads,
  payloadBytes: row.payload_bytes,
  tailBytes: row.tail_bytes,
  createdAt: row.created_at,
  updatedAt: row.updated_at
})

export const librarySummaryOf = (row: LibraryRow): LibrarySummary => ({
  libraryId: row.library_id,
  streams: row.streams,
  events: row.events,
  payloadBytes: row.payload_bytes,
  updatedAt: row.updated_at
})
