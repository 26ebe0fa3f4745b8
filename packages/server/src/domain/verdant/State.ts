/** A library's state: what its events amount to. Never changed; a new state shares what stayed. */
import { HashMap, Option } from "effect"
import type { FileId, Hash } from "../Ids.ts"
import type { ReplicaId } from "./Events.ts"
import { type Oid, rootOf } from "./model/Oid.ts"
import type { StoredBaseline, StoredOperation } from "./model/StoredItems.ts"
import type { UnfoldedBatches } from "./UnfoldedBatches.ts"

export interface Replica {
  readonly id: ReplicaId
  readonly userId: string
  /** Verdant's number: 0 realtime, 1 push, 2 and 3 passive, 4 and 5 read-only. */
  readonly type: number
  /** It will never again send an operation that is older; null: not known. */
  readonly promise: string | null
  /** It has everything up to this version; null: not even what it was sent when it joined is known to have arrived. */
  readonly received: number | null
  /** The newest operation that it wrote. */
  readonly wrote: string | null
  /** Milliseconds since 1970. */
  readonly seen: number
  readonly isTruant: boolean
  /** With which event it joined, and what its client takes for its last sync once it has what it was sent then. */
  readonly joinedAt: number
  readonly asOf: string
}

/** A document or a part of one. */
export interface Entity {
  readonly baseline: StoredBaseline | undefined
  /** Not folded yet, by timestamp. */
  readonly operations: ReadonlyArray<StoredOperation>
}

export interface StoredFile {
  readonly fileId: FileId
  readonly name: string
  readonly type: string
  readonly size: number
  readonly hash: Hash
  /** Where its bytes are. */
  readonly blob: string
  readonly userId: string
  /** Milliseconds since 1970. */
  readonly storedAt: number
  /** Since when nothing refers to it; null: something does, or it is new. */
  readonly orphanedAt: number | null
}

export interface LibraryState {
  /** Version of the last event. */
  readonly version: number
  readonly generation: number
  readonly replicas: ReadonlyMap<ReplicaId, Replica>
  readonly entities: HashMap.HashMap<string, Entity>
  readonly batches: UnfoldedBatches
  readonly operations: number
  readonly baselines: number
  /** Operations older than this may be folded by whoever has them: no older one will come. It never falls. */
  readonly watermark: string | null
  /** The newest event of which an operation was folded: who has less than that cannot catch up by operations. */
  readonly foldedUpTo: number
  readonly files: ReadonlyMap<FileId, StoredFile>
  /** Who was asked to bring the library back, and when. */
  readonly lease: { readonly replicaId: ReplicaId; readonly at: number } | undefined
  /** Version of the newest checkpoint. */
  readonly checkpoint: number
}

export const initial: LibraryState = {
  version: 0,
  generation: 0,
  replicas: new Map(),
  entities: HashMap.empty(),
  batches: undefined,
  operations: 0,
  baselines: 0,
  watermark: null,
  foldedUpTo: 0,
  files: new Map(),
  lease: undefined,
  checkpoint: 0
}

export const isEmpty = ({ entities }: LibraryState): boolean => HashMap.isEmpty(entities)

export const entityOf = (state: LibraryState, oid: string): Entity | undefined =>
  Option.getOrUndefined(HashMap.get(state.entities, oid))

/** Whose document an entity belongs to; null: everybody's; undefined: the document is not there. */
export const documentOwner = (state: LibraryState, oid: Oid): string | null | undefined => {
  const root = entityOf(state, rootOf(oid))
  if (root === undefined) return undefined
  if (!owners.has(root)) owners.set(root, ownerOfRoot(root))
  return owners.get(root)
}

/** A message may bring very many operations on what has very many already, and each is asked about. */
const owners = new WeakMap<Entity, string | null | undefined>()

const ownerOfRoot = ({ baseline, operations }: Entity): string | null | undefined => {
  const initialize = operations.findLast(({ patch }) => patch.op === "initialize")
  return initialize === undefined ? baseline?.owner : initialize.owner
}

/** Whether an operation is there that is not folded yet. */
export const hasOperation = (state: LibraryState, oid: string, timestamp: string): boolean => {
  const operations = entityOf(state, oid)?.operations ?? []
  return operations[firstFrom(operations, timestamp)]?.timestamp === timestamp
}

/** Where the operations begin that are not older. */
export const firstFrom = (operations: ReadonlyArray<StoredOperation>, timestamp: string): number => {
  let [start, end] = [0, operations.length]
  while (start < end) {
    const middle = (start + end) >>> 1
    if (operations[middle]!.timestamp < timestamp) start = middle + 1
    else end = middle
  }
  return start
}
