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
  readonly checkpoint: number
  readonly unique_key: string | null
  readonly payload: Uint8Array | null
}

export const hashBytes = (hash: Hash): Uint8Array => Uint8Array.from(Buffer.from(hash, "base64url"))

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
    checkpoint: row.checkpoint === 1
  }
  return row.unique_key === null ? event : { ...event, uniqueKey: row.unique_key }
}

export const placedOf = (key: StreamKey, row: EventRow): PlacedEvent => {
  const event = eventOf(row)
  return { event, payload: row.payload === null ? null : unpackPayload(key, event, row.payload) }
}
