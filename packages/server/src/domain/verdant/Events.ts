/** The events of a Verdant library: the only ones in its stream, `@verdant`. */
import { Schema } from "effect"
import { FileId, Hash } from "../Ids.ts"
import {
  ALLOWED_AGAIN,
  CHECKPOINT_ENDED,
  DELETED,
  EVICTED,
  endsGeneration,
  FOLDED,
  type NewEvent,
  PRUNED,
  type StreamEvent,
  type StreamKey
} from "../Stream.ts"

/** The stream of a library's Verdant data. */
export const VERDANT = "@verdant"

export const isVerdant = ({ streamId }: StreamKey): boolean => streamId === VERDANT

/** The id of a client's copy of a library. The client chooses it, and keeps it as long as its data. */
export const ReplicaId = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{1,64}$/)).pipe(Schema.brand("ReplicaId"))
export type ReplicaId = typeof ReplicaId.Type

export const UserId = Schema.NonEmptyString.check(Schema.isMaxLength(200))
/** A hybrid logical clock, compared as text; see `model/Timestamp.ts`. */
const Timestamp = Schema.String.check(Schema.isMaxLength(64))
const Version = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
const Count = Version
export const ReplicaType = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))

/** How far a replica is. */
export const Cursor = Schema.Struct({
  /** It will never send an older operation again. */
  promise: Schema.optionalKey(Timestamp),
  /** It has everything up to this version. */
  received: Schema.optionalKey(Version),
  /** When it was last heard of, milliseconds since 1970. */
  seen: Schema.optionalKey(Schema.Finite)
})
export type Cursor = typeof Cursor.Type

const Cursors = Schema.Record(Schema.String, Cursor).check(Schema.isPropertyNames(ReplicaId))

/** Progress of the replicas, in an event that is written anyway or in one of its own. */
const progress = {
  cursors: Schema.optionalKey(Cursors),
  /** The watermark rises to this: no replica sends an older operation any more, so those may be compacted. */
  watermark: Schema.optionalKey(Timestamp)
}

const replica = { replicaId: ReplicaId, userId: UserId, type: ReplicaType }

const sentAll = Schema.optionalKey(Schema.Literal(true))

export const ReplicaJoined = Schema.TaggedStruct("ReplicaJoined", {
  ...replica,
  /** The replica is reset: it is sent the whole library, in place of what it has. */
  reset: Schema.Boolean,
  /** The time that its client takes for its last sync once it has processed the answer. */
  asOf: Timestamp,
  /** The log was restored from a backup, and the replica holds nothing that it lost. */
  sentAll,
  ...progress
})

/** The payload holds operations, and baselines when a client restores a library. */
export const OperationsStored = Schema.TaggedStruct("OperationsStored", {
  ...replica,
  operations: Count,
  baselines: Count,
  /** The library held nothing before. */
  initial: Schema.Boolean,
  /** Timestamp of the newest operation. */
  wrote: Schema.NullOr(Timestamp),
  /** The claim `role` of the author's token, for the app. Absent: it has none. */
  role: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))),
  /** The author was being reset and may have lost the operations, so it is sent them as others are. */
  authorMayLack: Schema.optionalKey(Schema.Literal(true)),
  /**
   * Older operations of the author may follow: while it is being reset, those before the watermark are refused, and it sends them
   * again. Absent: none may, or an older server wrote the event.
   */
  olderMayFollow: Schema.optionalKey(Schema.Literal(true)),
  /** The log was restored from a backup, and the author was asked for all that it has: these are what the library lacked. */
  sentAll,
  ...progress
})

export const CursorsAdvanced = Schema.TaggedStruct("CursorsAdvanced", progress)

/** The replica is new when it comes back, and is reset. */
export const ReplicaForgotten = Schema.TaggedStruct("ReplicaForgotten", {
  replicaId: ReplicaId,
  /** The user to whom the replica still belongs. Absent in events of servers that did not remember that. */
  userId: Schema.optionalKey(UserId)
})

/** The replica counts as not heard of for too long. */
export const ReplicaMadeTruant = Schema.TaggedStruct("ReplicaMadeTruant", { replicaId: ReplicaId })

/** The library holds nothing, and a replica was asked to restore it; others wait for that. */
export const RestoreLeased = Schema.TaggedStruct("RestoreLeased", { replicaId: ReplicaId })

/**
 * The compaction of a small library, and a checkpoint: the payload holds the whole library, with operations that no replica needs any more merged
 * into baselines. It purges the payloads before the previous checkpoint; those since that stay, so that `replay` can repeat
 * the compaction. As a stream's first event it is the import of a library from another server.
 */
export const Folded = Schema.TaggedStruct(FOLDED, { before: Version, baselines: Count, operations: Count })

/**
 * A slice of a compaction: the oldest operations of some objects are merged into their baselines. The payload names the
 * objects, and how many operations of each. The baselines follow from that, so the event does not hold them.
 */
export const OperationsMerged = Schema.TaggedStruct("OperationsMerged", {
  objects: Count,
  operations: Count,
  /** The progress of replicas that allows the merge. */
  cursors: Schema.optionalKey(Cursors)
})

/** Begins a checkpoint in parts, of the library as it is at this event. */
export const CheckpointBegun = Schema.TaggedStruct("CheckpointBegun", {
  library: Schema.Struct({
    watermark: Schema.NullOr(Timestamp),
    newest: Schema.NullOr(Timestamp),
    foldedUpTo: Version,
    bytes: Count,
    purged: Version
  })
})

/** The payload holds a part of the library as it was at version `of`. The first part is number 0. */
export const CheckpointPart = Schema.TaggedStruct("CheckpointPart", { of: Version, part: Count })

/**
 * The checkpoint of version `of` is complete. Reading begins there, and applies the events since. The payloads before version
 * `before` are not needed any more. `Pruned` events purge them, some at a time.
 */
export const CheckpointEnded = Schema.TaggedStruct(CHECKPOINT_ENDED, { of: Version, parts: Count, before: Version })

export const FileStored = Schema.TaggedStruct("FileStored", {
  fileId: FileId,
  name: Schema.String.check(Schema.isMaxLength(1024)),
  type: Schema.String.check(Schema.isMaxLength(255)),
  size: Count,
  hash: Hash,
  /** The key of its bytes in the `BlobStore`. */
  blob: Schema.String.check(Schema.isMaxLength(200)),
  userId: UserId
})

/** Files that lost their last reference, that gained one again, and that were deleted. */
export const FilesSwept = Schema.TaggedStruct("FilesSwept", {
  orphaned: Schema.Array(FileId),
  revived: Schema.Array(FileId),
  deleted: Schema.Array(FileId),
  /** The deleted files still belong to their users. Absent: none was deleted, or an older server wrote the event. */
  keepsOwners: Schema.optionalKey(Schema.Literal(true))
})

export const Evicted = Schema.TaggedStruct(EVICTED, {
  /**
   * The replicas that the library had, with their users: they still belong to them. The one that left first comes first.
   * Absent: there was none, or an older server wrote the event.
   */
  replicas: Schema.optionalKey(Schema.Array(Schema.Tuple([ReplicaId, UserId]))),
  /** The files that the library had, with their users, in the same way. */
  files: Schema.optionalKey(Schema.Array(Schema.Tuple([FileId, UserId])))
})
export const Pruned = Schema.TaggedStruct(PRUNED, { before: Version })

/** Every payload is purged, and the library takes nothing any more. */
export const Deleted = Schema.TaggedStruct(DELETED, {})
/** The deleted library begins again, as if it was new. */
export const AllowedAgain = Schema.TaggedStruct(ALLOWED_AGAIN, {})

export const LibraryEvent = Schema.Union([
  ReplicaJoined,
  OperationsStored,
  CursorsAdvanced,
  ReplicaForgotten,
  ReplicaMadeTruant,
  RestoreLeased,
  Folded,
  OperationsMerged,
  CheckpointBegun,
  CheckpointPart,
  CheckpointEnded,
  FileStored,
  FilesSwept,
  Evicted,
  Pruned,
  Deleted,
  AllowedAgain
])
export type LibraryEvent = typeof LibraryEvent.Type

export const toNewEvent = ({ _tag, ...data }: LibraryEvent, payloadHash: Hash | ""): NewEvent => ({
  type: _tag,
  data,
  payloadHash,
  checkpoint: _tag === FOLDED || _tag === CHECKPOINT_ENDED || endsGeneration(_tag) || _tag === ALLOWED_AGAIN
})

const decodeEvent = Schema.decodeUnknownSync(LibraryEvent)

/** Decodes a stream's event. Throws when it is not a library's: a damaged log is not served. */
export const fromStreamEvent = (event: StreamEvent): LibraryEvent => decodeEvent({ ...event.data, _tag: event.type })
