/** A library's state after its events. Immutable; a new state shares what did not change. */
import { HashMap, Option } from "effect"
import type { FileId, Hash } from "../Ids.ts"
import type { StreamEvent } from "../Stream.ts"
import type { ReplicaId } from "./Events.ts"
import type { FileReferences } from "./FileReferences.ts"
import type { FormerOwners } from "./FormerOwners.ts"
import { type EntitySize, sizeOfBaseline } from "./model/EntitySize.ts"
import { type Oid, rootOf } from "./model/Oid.ts"
import type { StoredBaseline, StoredOperation } from "./model/StoredItems.ts"
import type { FormerReplicas } from "./ReplicaOwners.ts"
import { noBatches, type UnfoldedBatches } from "./UnfoldedBatches.ts"

export interface Replica {
  readonly id: ReplicaId
  readonly userId: string
  /** Verdant's number: 0 realtime, 1 push, 2 and 3 passive, 4 and 5 read-only. */
  readonly type: number
  /** It will never send an older operation again; null: not known. */
  readonly promise: string | null
  /** It has everything up to this version; null: not even its last reset is known to have arrived. */
  readonly received: number | null
  /** Timestamp of the newest operation that it wrote in its order: it sends nothing new that is older. */
  readonly wrote: string | null
  /** When it was last heard of, milliseconds since 1970. */
  readonly seen: number
  readonly isTruant: boolean
  /** Version of the event with which it joined, or was last reset. */
  readonly joinedAt: number
  /** The time that its client takes for its last sync once it has processed the answer to that join or reset. */
  readonly asOf: string
  /** When it had sent all that it has, milliseconds since 1970. Absent: not since the log was first restored from a backup. */
  readonly sentAllAt?: number
}

/** A document or a part of one. */
export interface Entity {
  readonly baseline: StoredBaseline | undefined
  /** Not compacted yet, in the order of their timestamps. */
  readonly operations: ReadonlyArray<StoredOperation>
  /** How large it becomes by its operations; absent: it has none. */
  readonly size?: EntitySize
}

export interface StoredFile {
  readonly fileId: FileId
  readonly name: string
  readonly type: string
  readonly size: number
  readonly hash: Hash
  /** The key of its bytes in the `BlobStore`. */
  readonly blob: string
  readonly userId: string
  /** Milliseconds since 1970. */
  readonly storedAt: number
  /** Since when nothing refers to it, milliseconds since 1970; null: something does, or it is new. */
  readonly orphanedAt: number | null
}

export interface LibraryState {
  /** Version of the last event. */
  readonly version: number
  readonly generation: number
  readonly replicas: ReadonlyMap<ReplicaId, Replica>
  readonly formerReplicas: FormerReplicas
  readonly entities: HashMap.HashMap<string, Entity>
  readonly batches: UnfoldedBatches
  /** Number of operations that are not compacted yet. */
  readonly operations: number
  /** Number of baselines. */
  readonly baselines: number
  /** Bytes of the library's content: its baselines, and the operations that are not compacted. */
  readonly bytes: number
  /** No replica sends an operation older than this any more, so those may be compacted. It never falls. */
  readonly watermark: string | null
  /** The greatest timestamp of an operation or a baseline that was stored. */
  readonly newest: string | null
  /** The newest event with a compacted operation: a replica that lacks it cannot catch up by operations. */
  readonly foldedUpTo: number
  readonly files: ReadonlyMap<FileId, StoredFile>
  /** Files that were evicted or swept and not uploaded since, with their users. */
  readonly formerFiles: FormerOwners<FileId>
  /** Bytes of all files together. */
  readonly fileBytes: number
  readonly fileReferences: FileReferences
  /** The replica that was asked to restore the library, and when (milliseconds since 1970). */
  readonly lease: { readonly replicaId: ReplicaId; readonly at: number } | undefined
  /** Version of the newest checkpoint. */
  readonly checkpoint: number
  /** The version at which reading begins because of it. */
  readonly readsFrom: number
  /** Events before this version have no payload. */
  readonly purged: number
  /** Events before this version need none. */
  readonly purgeable: number
  /** The newest checkpoint is one event that holds the whole library. */
  readonly isWhole: boolean
  /** Bytes of the payloads since then, without those of checkpoints. */
  readonly tailBytes: number
  /** The checkpoint in parts that is being written. */
  readonly writing: WritingCheckpoint | undefined
  /** The library is being read from a checkpoint in parts. Until that is complete, the state is not the library's. */
  readonly opening?: OpeningCheckpoint | undefined
  /** The library was deleted for good. */
  readonly isDeleted: boolean
}

export interface WritingCheckpoint {
  /** The version of which it is. */
  readonly of: number
  /** Number of the parts that are written, and their bytes. */
  readonly parts: number
  readonly partBytes: number
  /** When the last of them was written, milliseconds since 1970. */
  readonly at: number
  /** The library's `bytes` and `tailBytes` at version `of`. */
  readonly bytes: number
  readonly tailBytes: number
}

export interface OpeningCheckpoint {
  readonly of: number
  /** The events since `of`, newest first, which are applied once all parts are there. */
  readonly later: LaterEvents
}

export type LaterEvents =
  | { readonly event: StreamEvent; readonly payload: Uint8Array | null; readonly older: LaterEvents }
  | undefined

export const initial: LibraryState = {
  version: 0,
  generation: 0,
  replicas: new Map(),
  formerReplicas: new Map(),
  formerFiles: new Map(),
  entities: HashMap.empty(),
  batches: noBatches,
  operations: 0,
  baselines: 0,
  bytes: 0,
  watermark: null,
  newest: null,
  foldedUpTo: 0,
  files: new Map(),
  fileBytes: 0,
  fileReferences: HashMap.empty(),
  lease: undefined,
  checkpoint: 0,
  readsFrom: 0,
  purged: 0,
  purgeable: 0,
  isWhole: false,
  tailBytes: 0,
  writing: undefined,
  isDeleted: false
}

export const isEmpty = ({ entities }: LibraryState): boolean => HashMap.isEmpty(entities)

/**
 * Whether a client may still decide the library's content, because none was compacted since the library began or was evicted.
 * A library whose objects were all deleted is empty and not new: its replicas may hold those objects' operations, or have
 * compacted them, and would make different content of an older operation.
 */
export const isNew = (state: LibraryState): boolean => isEmpty(state) && state.foldedUpTo === 0

export const entityOf = (state: LibraryState, oid: string): Entity | undefined =>
  Option.getOrUndefined(HashMap.get(state.entities, oid))

/** The size of an entity without its operations. */
export const sizeWithout = ({ baseline }: Entity): EntitySize =>
  sizeOfBaseline(baseline?.text.length ?? 0, baseline?.list)

/** The user whose document an entity belongs to; null: all users'; undefined: the document does not exist. */
export const documentOwner = (state: LibraryState, oid: Oid): string | null | undefined => {
  const root = entityOf(state, rootOf(oid))
  if (root === undefined) return undefined
  if (!owners.has(root)) owners.set(root, ownerOfRoot(root))
  return owners.get(root)
}

/** A cache: a message may bring very many operations on one document that has very many already. */
const owners = new WeakMap<Entity, string | null | undefined>()

const ownerOfRoot = ({ baseline, operations }: Entity): string | null | undefined => {
  const initialize = operations.findLast(({ outline }) => outline.op === "initialize")
  return initialize === undefined ? baseline?.owner : initialize.owner
}

/** Whether the library has an operation that is not compacted yet. */
export const hasOperation = (state: LibraryState, oid: string, timestamp: string): boolean => {
  const operations = entityOf(state, oid)?.operations ?? []
  return operations[firstFrom(operations, timestamp)]?.timestamp === timestamp
}

/** Index of the first operation that is not older than a timestamp. */
export const firstFrom = (operations: ReadonlyArray<StoredOperation>, timestamp: string): number => {
  let [start, end] = [0, operations.length]
  while (start < end) {
    const middle = (start + end) >>> 1
    if (operations[middle]!.timestamp < timestamp) start = middle + 1
    else end = middle
  }
  return start
}
