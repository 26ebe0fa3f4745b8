/** Between rows and events: hashes are 32 bytes in the database and URL-safe base64 everywhere else. */
import type { Hash, PlacedEvent, StreamEvent, StreamKey } from "@sealog/server/ports"
import { unpackPayload } from "@sealog/server/storage"

export interface EventRow {
  readonly version: number
  readonly generation: number
  readonly type: string
  readonly data: string
  readonly payload_hash: Uint8Array | null
  readonly chain: Uint8Array
  readonly origin: string
  readonly recorded_at: number
  readonly checkpoint: boolean
  readonly unique_key: string | null
  readonly payload: Uint8Array | null
}

/** The columns of an `EventRow` but its payload; numbers as such, for they never exceed 2^53. */
export const EVENT_COLUMNS = `e.version::float8 AS version, e.generation::float8 AS generation, e.type, e.data,
  e.payload_hash, e.chain, e.origin, e.recorded_at::float8 AS recorded_at, e.checkpoint,
  e.snapshot_id AS unique_key`

export const hashBytes = (hash: Hash | ""): Uint8Array | null => (hash === "" ? null : Buffer.from(hash, "base64url"))

export const hashText = (bytes: Uint8Array): Hash =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url") as Hash

export const eventOf = (row: Omit<EventRow, "payload">): StreamEvent => {
  const event: StreamEvent = {
    version: row.version,
    generation: row.generation,
    type: row.type,
    data: JSON.parse(row.data),
    payloadHash: row.payload_hash === null ? "" : hashText(row.payload_hash),
    chain: hashText(row.chain),
    origin: row.origin,
    recordedAt: row.recorded_at,
    checkpoint: row.checkpoint
  }
  return row.unique_key === null ? event : { ...event, uniqueKey: row.unique_key }
}

export const placedOf = (key: StreamKey, row: EventRow): PlacedEvent => {
  const event = eventOf(row)
  return { event, payload: row.payload === null ? null : ownBytes(unpackPayload(key, event, row.payload)) }
}

/** The driver may give views into a buffer of many rows, which a small payload that is kept would keep whole. */
const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()
