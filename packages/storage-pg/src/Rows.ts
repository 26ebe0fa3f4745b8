/** Between rows and events: hashes are 32 bytes in the database and URL-safe base64 everywhere else. */
import type { Hash, PlacedEvent, StreamEvent, StreamKey } from "@sealog/server/ports"
import type { Ancestor } from "@sealog/server/storage"
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
  readonly payload: Uint8Array | null
}

/** The columns of an `EventRow` but its payload; numbers as such, for they never exceed 2^53. */
export const EVENT_COLUMNS = `e.version::float8 AS version, e.generation::float8 AS generation, e.type, e.data,
  e.payload_hash, e.chain, e.origin, e.recorded_at::float8 AS recorded_at, e.checkpoint`

export const hashBytes = (hash: Hash | ""): Uint8Array | null => (hash === "" ? null : Buffer.from(hash, "base64url"))

export const hashText = (bytes: Uint8Array): Hash =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url") as Hash

export const placedOf = (key: StreamKey, row: EventRow): PlacedEvent => {
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
  return { event, payload: row.payload === null ? null : ownBytes(unpackPayload(key, event, row.payload)) }
}

/** The driver may give views into a buffer of many rows, which a small payload that is kept would keep whole. */
const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()

/** Snapshots are found by their id; other events have none. */
export const snapshotIdOf = (event: StreamEvent): string | undefined =>
  event.type === "SnapshotStored" ? (event.data as Ancestor).snapshotId : undefined

export const ancestorOf = (data: string): Ancestor => {
  const { snapshotId, ciphertextHash, parentSnapshotProof, parentSnapshotId } = JSON.parse(data) as Ancestor
  return { snapshotId, ciphertextHash, parentSnapshotProof, parentSnapshotId }
}
