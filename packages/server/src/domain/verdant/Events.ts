/** What happens in a library of Verdant's: its one stream, `@verdant`, holds nothing else. */
import { Schema } from "effect"
import { FileId, Hash } from "../Ids.ts"
import { EVICTED, FOLDED, type NewEvent, PRUNED, type StreamEvent, type StreamKey } from "../Stream.ts"

/** The stream of a library's Verdant data. */
export const VERDANT = "@verdant"

export const isVerdant = ({ streamId }: StreamKey): boolean => streamId === VERDANT

/** A client's copy of a library, named by the client; it lives as long as the client's data. */
export const ReplicaId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,64}$/)).pipe(Schema.brand("ReplicaId"))
export type ReplicaId = typeof ReplicaId.Type

export const UserId = Schema.NonEmptyString.check(Schema.isMaxLength(200))
/** Hybrid logical clock; see Timestamp.ts. Compared as text. */
const Timestamp = Schema.String.check(Schema.isMaxLength(64))
const Version = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
const Count = Version
export const ReplicaType = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))

/** What is known of how far a replica is. */
export const Cursor = Schema.Struct({
  /** It will never again send an operation that is older than this. */
  promise: Schema.optionalKey(Timestamp),
  /** It has everything up to this version. */
  received: Schema.optionalKey(Version),
  /** When it was last heard of, milliseconds since 1970. */
  seen: Schema.optionalKey(Schema.Finite)
})
export type Cursor = typeof Cursor.Type

const Cursors = Schema.Record(Schema.String, Cursor).check(Schema.isPropertyNames(ReplicaId))

/** Reported with what was appended anyway, or alone. */
const progress = {
  cursors: Schema.optionalKey(Cursors),
  /** Rises: no replica will send an older operation any more, so clients and server may fold what is older. */
  watermark: Schema.optionalKey(Timestamp)
}

const replica = { replicaId: ReplicaId, userId: UserId, type: ReplicaType }

export const ReplicaJoined = Schema.TaggedStruct("ReplicaJoined", {
  ...replica,
  /** It is sent all there is, to begin with instead of what it had. */
  reset: Schema.Boolean,
  /** What its client will take for the time of its last sync once it has processed that. */
  asOf: Timestamp,
  ...progress
})

/** The payload holds operations, and baselines when a client brings a library's history. */
export const OperationsStored = Schema.TaggedStruct("OperationsStored", {
  ...replica,
  operations: Count,
  baselines: Count,
  /** The library held nothing before. */
  initial: Schema.Boolean,
  /** The newest of the operations. */
  wrote: Schema.NullOr(Timestamp),
  /** Its author was beginning anew, and may have lost them by that: they are sent to it as to others. */
  authorMayLack: Schema.optionalKey(Schema.Literal(true)),
  ...progress
})

export const CursorsAdvanced = Schema.TaggedStruct("CursorsAdvanced", progress)

/** It will be taken for a new one when it comes back. */
export const ReplicaForgotten = Schema.TaggedStruct("ReplicaForgotten", { replicaId: ReplicaId })

/** It is taken for one that has not been heard of for too long. */
export const ReplicaMadeTruant = Schema.TaggedStruct("ReplicaMadeTruant", { replicaId: ReplicaId })

/** A replica was asked for all that it has, because the library holds nothing; others wait for it. */
export const RestoreLeased = Schema.TaggedStruct("RestoreLeased", { replicaId: ReplicaId })

/**
 * A checkpoint: the payload holds the whole library, with operations folded into baselines where nobody can need them
 * any more. The payloads of what came before the last checkpoint go; those since it stay, so that a replay can fold again.
 * As a stream's first event it brings the library from another server.
 */
export const Folded = Schema.TaggedStruct(FOLDED, { before: Version, baselines: Count, operations: Count })

export const FileStored = Schema.TaggedStruct("FileStored", {
  fileId: FileId,
  name: Schema.String.check(Schema.isMaxLength(1024)),
  type: Schema.String.check(Schema.isMaxLength(255)),
  size: Count,
  hash: Hash,
  /** Where its bytes are. */
  blob: Schema.String.check(Schema.isMaxLength(200)),
  userId: UserId
})

/** Files that nothing refers to any more, that something refers to again, and that are gone. */
export const FilesSwept = Schema.TaggedStruct("FilesSwept", {
  orphaned: Schema.Array(FileId),
  revived: Schema.Array(FileId),
  deleted: Schema.Array(FileId)
})

export const Evicted = Schema.TaggedStruct(EVICTED, {})
export const Pruned = Schema.TaggedStruct(PRUNED, { before: Version })

export const LibraryEvent = Schema.Union([
  ReplicaJoined,
  OperationsStored,
  CursorsAdvanced,
  ReplicaForgotten,
  ReplicaMadeTruant,
  RestoreLeased,
  Folded,
  FileStored,
  FilesSwept,
  Evicted,
  Pruned
])
export type LibraryEvent = typeof LibraryEvent.Type

export const toNewEvent = ({ _tag, ...data }: LibraryEvent, payloadHash: Hash | ""): NewEvent => ({
  type: _tag,
  data,
  payloadHash,
  checkpoint: _tag === FOLDED || _tag === EVICTED
})

const decodeEvent = Schema.decodeUnknownSync(LibraryEvent)

/** The event that a stream holds. Throws when the row is not one of ours: a damaged log is not served. */
export const fromStreamEvent = (event: StreamEvent): LibraryEvent => decodeEvent({ ...event.data, _tag: event.type })
