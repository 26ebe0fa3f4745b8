/** The events of a Secsync document, as the log stores them. */
import { Schema } from "effect"
import { Hash, isNatural, isPublicKey, isSnapshotId, PublicKey, SnapshotId, UpdateClock, UpdateClocks } from "../Ids.ts"
import { ALLOWED_AGAIN, DELETED, EVICTED, type NewEvent, PRUNED, type StreamEvent } from "../Stream.ts"

/** The fields of a snapshot from which the proof of its child is made. */
export const SnapshotProof = Schema.Struct({
  snapshotId: SnapshotId,
  ciphertextHash: Hash,
  parentSnapshotProof: Hash
})
export type SnapshotProof = typeof SnapshotProof.Type

/** Length of the payload; absent in events of before 29 November 2026. The quota counts it. */
const payloadBytes = Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))

export const SnapshotStored = Schema.TaggedStruct("SnapshotStored", {
  ...SnapshotProof.fields,
  /** "" for a document's first snapshot. */
  parentSnapshotId: Schema.Union([SnapshotId, Schema.Literal("")]),
  parentSnapshotUpdateClocks: UpdateClocks,
  pubKey: PublicKey,
  /** The log was restored from a backup that did not hold the parent, and a client that had it brought this snapshot. */
  parentLost: Schema.optionalKey(Schema.Literal(true)),
  payloadBytes
})
export type SnapshotStored = typeof SnapshotStored.Type

export const UpdateStored = Schema.TaggedStruct("UpdateStored", {
  refSnapshotId: SnapshotId,
  pubKey: PublicKey,
  clock: UpdateClock,
  payloadBytes
})
export type UpdateStored = typeof UpdateStored.Type

/** Every payload is purged. The event keeps the proof of the active snapshot, so that a client that has it can restore it. */
export const Evicted = Schema.TaggedStruct(EVICTED, {
  snapshot: SnapshotProof,
  clocks: UpdateClocks
})
export type Evicted = typeof Evicted.Type

/** The payloads of events with a version smaller than `before` are pruned. The state does not depend on them. */
export const Pruned = Schema.TaggedStruct(PRUNED, { before: Schema.Int.check(Schema.isGreaterThan(0)) })
export type Pruned = typeof Pruned.Type

/** The document exists and is empty. Only there where clients cannot make documents; else the first snapshot makes it. */
export const DocumentCreated = Schema.TaggedStruct("DocumentCreated", {})

/** Every payload is purged, and the document takes nothing any more. */
export const Deleted = Schema.TaggedStruct(DELETED, {})

/** The deleted document does not exist, and can be made again. */
export const AllowedAgain = Schema.TaggedStruct(ALLOWED_AGAIN, {})

export const DocumentEvent = Schema.Union([
  SnapshotStored,
  UpdateStored,
  Evicted,
  Pruned,
  DocumentCreated,
  Deleted,
  AllowedAgain
])
export type DocumentEvent = typeof DocumentEvent.Type

/** True if a reader of the document can start at this event. */
export const isCheckpoint = ({ _tag }: DocumentEvent): boolean =>
  _tag === "SnapshotStored" || _tag === EVICTED || _tag === DELETED || _tag === ALLOWED_AGAIN

/** Encodes an event for its stream. */
export const toNewEvent = (event: DocumentEvent, payloadHash: Hash | ""): NewEvent => {
  const { _tag, ...data } = event
  const stored = { type: _tag, data, payloadHash, checkpoint: isCheckpoint(event) }
  return event._tag === "SnapshotStored" ? { ...stored, uniqueKey: event.snapshotId } : stored
}

/** Adds the unique key to an event that was read without it, for example from an export: a snapshot's key is its id. */
export const withUniqueKey = (event: StreamEvent): StreamEvent =>
  event.type === "SnapshotStored" && "snapshotId" in event.data && typeof event.data.snapshotId === "string"
    ? { ...event, uniqueKey: event.data.snapshotId }
    : event

const decodeEvent = Schema.decodeUnknownSync(DocumentEvent)

/** Decodes a stream's event. Throws when it is not a document's event: a damaged log is not served. */
export const fromStreamEvent = (event: StreamEvent): DocumentEvent =>
  (event.type === "UpdateStored" ? asUpdate(event.data) : undefined) ?? decodeEvent({ ...event.data, _tag: event.type })

/** An update's data as its event, checked by hand as strictly as by the schema; else undefined. Most events are updates. */
const asUpdate = (data: object | null): UpdateStored | undefined => {
  // The data of a damaged event may be any JSON.
  if (data === null) return undefined
  const { clock, payloadBytes, pubKey, refSnapshotId } = data as Partial<UpdateStored>
  if (!isSnapshotId(refSnapshotId) || !isPublicKey(pubKey) || !isNatural(clock)) return undefined
  if (isNatural(payloadBytes)) return { _tag: "UpdateStored", refSnapshotId, pubKey, clock, payloadBytes }
  return "payloadBytes" in data ? undefined : { _tag: "UpdateStored", refSnapshotId, pubKey, clock }
}
