/** A library's state: what its events say, folded. Never changed; a new one shares what stayed. */
import { HashMap, Option } from "effect"
import type { FileId, Hash } from "../Ids.ts"
import type { StreamEvent } from "../Stream.ts"
import { type Cursor, fromStreamEvent, type LibraryEvent, type ReplicaId } from "./Events.ts"
import { type Oid, rootOf } from "./model/Oid.ts"
import { decodeFolded, decodeItems, type Items } from "./model/PayloadCodec.ts"
import { byTimestamp, isVisibleTo, type StoredBaseline, type StoredOperation } from "./model/StoredItems.ts"
import { isTimely, latest } from "./model/Timestamp.ts"
import { type Batch, fromBatches, newestFirst, type UnfoldedBatches } from "./UnfoldedBatches.ts"

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

/** In place of an author who may lack what it wrote. */
const NOBODY = "" as ReplicaId

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
const firstFrom = (operations: ReadonlyArray<StoredOperation>, timestamp: string): number => {
  let [start, end] = [0, operations.length]
  while (start < end) {
    const middle = (start + end) >>> 1
    if (operations[middle]!.timestamp < timestamp) start = middle + 1
    else end = middle
  }
  return start
}

/** Operations after a version that a replica does not have from itself and may see. */
export const missedBy = (
  state: LibraryState,
  replica: { readonly id: ReplicaId; readonly userId: string },
  received: number
): ReadonlyArray<StoredOperation> => {
  const missed: Array<StoredOperation> = []
  for (const batch of newestFirst(state.batches)) {
    if (batch.version <= received) break
    if (batch.replicaId === replica.id) continue
    for (const operation of batch.operations) if (isVisibleTo(operation, replica.userId)) missed.push(operation)
  }
  return missed
}

/** What of a library's history, brought after a version, a replica does not have from itself and may see. */
export const missedBaselines = (
  state: LibraryState,
  replica: { readonly id: ReplicaId; readonly userId: string },
  received: number
): ReadonlyArray<StoredBaseline> => {
  const missed: Array<ReadonlyArray<StoredBaseline>> = []
  for (const batch of newestFirst(state.batches)) {
    if (batch.version <= received) break
    if (batch.replicaId === replica.id) continue
    missed.push(batch.baselines.filter((baseline) => isVisibleTo(baseline, replica.userId)))
  }
  return missed.reverse().flat()
}

/** Whether a replica that has everything up to a version lacks nothing of what came after. */
export const isUpToDate = (
  state: LibraryState,
  replica: { readonly id: ReplicaId; readonly userId: string },
  received: number | null
): boolean => received !== null && received >= state.foldedUpTo && missedBy(state, replica, received).length === 0

// ---------------------------------------------------------------------------------------------------------- evolve

/** The state after a stream's events, or after its newest checkpoint and what follows. */
export const fold = (events: Iterable<{ readonly event: StreamEvent; readonly payload: Uint8Array | null }>) => {
  let state = initial
  for (const { event, payload } of events) state = evolve(state, event, payload)
  return state
}

/** The state after an event. Throws when the event or its payload is not one of ours. */
export const evolve = (state: LibraryState, event: StreamEvent, payload: Uint8Array | null): LibraryState => {
  const next = evolveWith({ ...state, version: event.version }, event, fromStreamEvent(event), payload)
  return event.checkpoint ? { ...next, checkpoint: event.version } : next
}

const evolveWith = (
  state: LibraryState,
  event: StreamEvent,
  decoded: LibraryEvent,
  payload: Uint8Array | null
): LibraryState => {
  switch (decoded._tag) {
    case "ReplicaJoined":
      return withReplica(withProgress(state, decoded), joined(state, event, decoded))
    case "OperationsStored": {
      const items = decodeItems(payloadOf(event, payload))
      return withOperations(withProgress(state, decoded), event, decoded, items)
    }
    case "CursorsAdvanced":
      return withProgress(state, decoded)
    case "ReplicaForgotten": {
      const replicas = new Map(state.replicas)
      replicas.delete(decoded.replicaId)
      return { ...state, replicas }
    }
    case "ReplicaMadeTruant": {
      const replica = state.replicas.get(decoded.replicaId)
      return replica === undefined ? state : withReplica(state, { ...replica, isTruant: true })
    }
    case "RestoreLeased":
      return { ...state, lease: { replicaId: decoded.replicaId, at: event.recordedAt } }
    case "Folded":
      return withFolded(state, payloadOf(event, payload))
    case "FileStored": {
      const { _tag, ...file } = decoded
      const files = new Map(state.files)
      files.set(file.fileId, { ...file, storedAt: event.recordedAt, orphanedAt: null })
      return { ...state, files }
    }
    case "FilesSwept": {
      const files = new Map(state.files)
      const mark = (fileId: FileId, orphanedAt: number | null) => {
        const file = files.get(fileId)
        if (file !== undefined) files.set(fileId, { ...file, orphanedAt })
      }
      for (const fileId of decoded.orphaned) mark(fileId, event.recordedAt)
      for (const fileId of decoded.revived) mark(fileId, null)
      for (const fileId of decoded.deleted) files.delete(fileId)
      return { ...state, files }
    }
    case "Evicted":
      return { ...initial, version: event.version, generation: event.generation + 1 }
    case "Pruned":
      return state
  }
}

const payloadOf = (event: StreamEvent, payload: Uint8Array | null): Uint8Array => {
  if (payload === null) throw new Error(`The payload of version ${event.version} is missing, though nothing purged it`)
  return payload
}

/** A user's replicas that are remembered; the one heard of longest ago then begins anew when it comes back. */
const MAX_REPLICAS_OF_USER = 1000

const withReplica = (state: LibraryState, replica: Replica): LibraryState => {
  const replicas = new Map(state.replicas)
  if (!replicas.has(replica.id)) {
    const own = Array.from(replicas.values()).filter(({ userId }) => userId === replica.userId)
    if (own.length >= MAX_REPLICAS_OF_USER) {
      replicas.delete(own.reduce((oldest, other) => (other.seen < oldest.seen ? other : oldest)).id)
    }
  }
  return { ...state, replicas: replicas.set(replica.id, replica) }
}

const joined = (
  state: LibraryState,
  event: StreamEvent,
  { asOf, replicaId, reset, type, userId }: Extract<LibraryEvent, { _tag: "ReplicaJoined" }>
): Replica => {
  const before = state.replicas.get(replicaId)
  if (before !== undefined && !reset) return { ...before, type, seen: event.recordedAt, isTruant: false }
  return {
    ...{ id: replicaId, userId, type, asOf },
    promise: isTimely(asOf, event.recordedAt) ? asOf : null,
    received: reset ? null : event.version,
    wrote: before?.wrote ?? null,
    seen: event.recordedAt,
    isTruant: false,
    joinedAt: event.version
  }
}

const withProgress = (
  state: LibraryState,
  progress: { readonly cursors?: Readonly<Record<string, Cursor>>; readonly watermark?: string }
): LibraryState => {
  const replicas = progress.cursors === undefined ? state.replicas : new Map(state.replicas)
  for (const [id, cursor] of Object.entries(progress.cursors ?? {})) {
    const replica = replicas.get(id as ReplicaId)
    if (replica !== undefined) (replicas as Map<ReplicaId, Replica>).set(replica.id, { ...replica, ...cursor })
  }
  return { ...state, replicas, watermark: progress.watermark ?? state.watermark }
}

const withOperations = (
  state: LibraryState,
  event: StreamEvent,
  stored: Extract<LibraryEvent, { _tag: "OperationsStored" }>,
  items: Items
): LibraryState => {
  const { replicaId, type, userId, wrote } = stored
  const { version } = event
  const author = stored.authorMayLack === true ? NOBODY : replicaId
  const operations = items.operations.map((operation) => ({ ...operation, version, replicaId: author }))
  const before = state.replicas.get(replicaId)
  const hasAll = before === undefined || (author !== NOBODY && isUpToDate(state, before, before.received))
  const replica: Replica = {
    ...{ id: replicaId, userId, type },
    promise: before?.promise ?? null,
    // It need not be sent its own.
    received: hasAll ? version : before.received,
    wrote: latest([before?.wrote, wrote]),
    seen: event.recordedAt,
    isTruant: false,
    joinedAt: before?.joinedAt ?? version,
    asOf: before?.asOf ?? ""
  }
  let baselines = state.baselines
  const entities = HashMap.mutate(state.entities, (entities) => {
    for (const baseline of items.baselines) {
      const entity = Option.getOrUndefined(HashMap.get(entities, baseline.oid))
      if (entity?.baseline === undefined) baselines += 1
      HashMap.set(entities, baseline.oid, { baseline, operations: entity?.operations ?? [] })
    }
    addOperations(entities, operations)
  })
  return {
    ...withReplica(state, replica),
    entities,
    batches: { newest: { version, replicaId: author, operations, baselines: items.baselines }, older: state.batches },
    operations: state.operations + operations.length,
    baselines,
    lease: undefined
  }
}

/** Each entity's at once: one message may bring very many of one. */
const addOperations = (entities: HashMap.HashMap<string, Entity>, operations: ReadonlyArray<StoredOperation>): void => {
  for (const [oid, added] of Map.groupBy(operations, (operation) => operation.oid)) {
    const entity = Option.getOrUndefined(HashMap.get(entities, oid))
    HashMap.set(entities, oid, { baseline: entity?.baseline, operations: merged(entity?.operations ?? [], added) })
  }
}

/** By timestamp. Of those with the same, what came later goes first. */
const merged = (
  before: ReadonlyArray<StoredOperation>,
  added: ReadonlyArray<StoredOperation>
): ReadonlyArray<StoredOperation> => {
  const sorted = added.toReversed().sort(byTimestamp)
  // Nearly always that is the end.
  const start = firstFrom(before, sorted[0]!.timestamp)
  return before.slice(0, start).concat(sorted.concat(before.slice(start)).sort(byTimestamp))
}

const withFolded = (state: LibraryState, payload: Uint8Array): LibraryState => {
  const folded = decodeFolded(payload)
  const replicas = folded.replicas as ReadonlyArray<Replica>
  const files = folded.files as ReadonlyArray<StoredFile>
  const entities = HashMap.mutate(HashMap.empty<string, Entity>(), (entities) => {
    for (const baseline of folded.baselines) HashMap.set(entities, baseline.oid, { baseline, operations: [] })
    addOperations(entities, folded.operations)
  })
  // Of one event they are one replica's, except those of the event with which a library came from another server.
  const batches = Array.from(
    Map.groupBy(folded.operations, ({ replicaId, version }) => `${version} ${replicaId}`).values(),
    (operations): Batch => {
      const { replicaId, version } = operations[0]!
      return { version, replicaId, operations, baselines: [] }
    }
  )
  return {
    ...state,
    replicas: new Map(replicas.map((replica) => [replica.id, replica])),
    entities,
    batches: fromBatches(batches),
    operations: folded.operations.length,
    baselines: folded.baselines.length,
    watermark: folded.watermark,
    foldedUpTo: folded.foldedUpTo,
    files: new Map(files.map((file) => [file.fileId, file]))
  }
}
