/** Applies events to a library's state. */
import { HashMap, Option } from "effect"
import type { FileId } from "../Ids.ts"
import { allAtOnce, type Steps } from "../Steps.ts"
import { CHECKPOINT_ENDED, purgesBefore, readsFrom, type StreamEvent } from "../Stream.ts"
import { openingState, withPart } from "./Checkpoint.ts"
import { withSize } from "./EntityBounds.ts"
import { addOperations } from "./EntityOperations.ts"
import { type Cursor, fromStreamEvent, type LibraryEvent, type ReplicaId } from "./Events.ts"
import { formerFilesAfter } from "./FileOwners.ts"
import { type ReferenceAuthor, UNKNOWN, withoutReferences, withReferences } from "./FileReferences.ts"
import { mayRead } from "./Files.ts"
import { withoutFormer } from "./FormerOwners.ts"
import { withMerged } from "./Merging.ts"
import { isUpToDate } from "./Missed.ts"
import { decodeItems, decodeMerged, type Items } from "./model/PayloadCodec.ts"
import type { StoredBaseline } from "./model/StoredItems.ts"
import { isTimely, latest } from "./model/Timestamp.ts"
import { withFormerReplicas } from "./ReplicaOwners.ts"
import { SERVER_REPLICA } from "./ServerWrites.ts"
import { initial, type LaterEvents, type LibraryState, type OpeningCheckpoint, type Replica } from "./State.ts"
import { withBatch } from "./UnfoldedBatches.ts"
import { withWhole } from "./WholeLibrary.ts"

/** The author of operations that their replica may have lost, so that it is sent them as others are. */
const NOBODY = "" as ReplicaId

/** The state after a stream's events, or after its newest checkpoint and what follows. */
export const fold = (events: Iterable<{ readonly event: StreamEvent; readonly payload: Uint8Array | null }>) => {
  let state = initial
  for (const { event, payload } of events) state = evolve(state, event, payload)
  return state
}

/** The state after an event. Throws when the event or its payload is not a library's. */
export const evolve = (state: LibraryState, event: StreamEvent, payload: Uint8Array | null): LibraryState => {
  const decoded = fromStreamEvent(event)
  const { generation, version } = event
  const isBeginning = state.version === 0 && version > 1 && decoded._tag === "CheckpointBegun"
  const before = isBeginning ? openingState(event, decoded) : state
  if (before.opening !== undefined) return evolveOpening(before, before.opening, event, decoded, payload)
  const next = evolveWith({ ...before, version, generation }, event, decoded, payload)
  return event.checkpoint ? { ...next, checkpoint: version, readsFrom: readsFrom(event) } : next
}

/** Applies an event while the library is being read from a checkpoint in parts. */
const evolveOpening = (
  before: LibraryState,
  opening: OpeningCheckpoint,
  event: StreamEvent,
  decoded: LibraryEvent,
  payload: Uint8Array | null
): LibraryState => {
  if (endsOpening(opening, event)) return evolve(allAtOnce(openInSteps(before)), event, payload)
  const { generation, version } = event
  const state = { ...before, version, generation, opening: undefined }
  // Holds the whole library, or nothing.
  if (event.checkpoint) return evolve(state, event, payload)
  const isOfCheckpoint = "of" in decoded ? decoded.of === opening.of : version === opening.of
  if (!isOfCheckpoint) return { ...state, opening: { ...opening, later: { event, payload, older: opening.later } } }
  const next = evolveWith(state, event, decoded, payload)
  return { ...(decoded._tag === "CheckpointPart" ? withPart(next, payloadOf(event, payload)) : next), opening }
}

/** Whether the event ends the checkpoint from which the library is being read. */
export const endsOpening = ({ of }: OpeningCheckpoint, { data, type }: StreamEvent): boolean =>
  type === CHECKPOINT_ENDED && "of" in data && data.of === of

/** The results of `openInSteps`, for a second call. */
const opened = new WeakMap<LibraryState, LibraryState>()

/**
 * The library once all parts of its checkpoint are there: with the events that came while they were written. `prepare`: steps before
 * each of them.
 */
export const openInSteps = function* (
  before: LibraryState,
  prepare?: (state: LibraryState, event: StreamEvent, payload: Uint8Array | null) => Steps<void> | undefined
): Steps<LibraryState> {
  const found = opened.get(before)
  if (found !== undefined) return found
  let state: LibraryState = { ...before, opening: undefined }
  for (const { event, payload } of laterOf(before)) {
    const steps = prepare?.(state, event, payload)
    if (steps !== undefined) yield* steps
    state = evolve(state, event, payload)
    yield
  }
  opened.set(before, state)
  return state
}

/** The events that came while the checkpoint was written, oldest first. */
const laterOf = ({ opening }: LibraryState): ReadonlyArray<NonNullable<LaterEvents>> => {
  const later: Array<NonNullable<LaterEvents>> = []
  for (let rest = opening?.later; rest !== undefined; rest = rest.older) later.push(rest)
  return later.reverse()
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
      const stored = payloadOf(event, payload)
      const bytes = state.bytes + stored.length
      const tailBytes = state.tailBytes + stored.length
      return withOperations({ ...withProgress(state, decoded), bytes, tailBytes }, event, decoded, decodeItems(stored))
    }
    case "CursorsAdvanced":
      return withProgress(state, decoded)
    case "ReplicaForgotten": {
      const replicas = new Map(state.replicas)
      replicas.delete(decoded.replicaId)
      const { replicaId: id, userId } = decoded
      if (userId === undefined) return { ...state, replicas }
      return { ...state, replicas, formerReplicas: withFormerReplicas(state.formerReplicas, [[id, userId]]) }
    }
    case "ReplicaMadeTruant": {
      const replica = state.replicas.get(decoded.replicaId)
      return replica === undefined ? state : withReplica(state, { ...replica, isTruant: true })
    }
    case "RestoreLeased":
      return { ...state, lease: { replicaId: decoded.replicaId, at: event.recordedAt } }
    case "Folded":
      return withPurged(withWhole(state, payloadOf(event, payload)), purgesBefore(event))
    case "OperationsMerged": {
      const merged = payloadOf(event, payload)
      const tailBytes = state.tailBytes + merged.length
      return withMerged({ ...withProgress(state, decoded), tailBytes }, decodeMerged(merged))
    }
    case "CheckpointBegun": {
      const { bytes, tailBytes } = state
      const writing = { of: event.version, parts: 0, partBytes: 0, at: event.recordedAt, bytes, tailBytes }
      return { ...state, writing }
    }
    case "CheckpointPart": {
      const { writing } = state
      const { length } = payloadOf(event, payload)
      if (writing?.of !== decoded.of || writing.parts !== decoded.part) throw outOfPlace(event)
      const written = { parts: writing.parts + 1, partBytes: writing.partBytes + length, at: event.recordedAt }
      return { ...state, writing: { ...writing, ...written } }
    }
    case "CheckpointEnded": {
      const { bytes, tailBytes, writing } = state
      if (writing?.of !== decoded.of || writing.parts !== decoded.parts) throw outOfPlace(event)
      return {
        ...state,
        writing: undefined,
        isWhole: false,
        purgeable: decoded.before,
        // The library as it was then, and what came since.
        bytes: writing.partBytes + Math.max(bytes - writing.bytes, -writing.partBytes),
        tailBytes: tailBytes - writing.tailBytes
      }
    }
    case "FileStored": {
      const { _tag, ...file } = decoded
      const files = new Map(state.files)
      files.set(file.fileId, { ...file, storedAt: event.recordedAt, orphanedAt: null })
      const replaced = state.files.get(file.fileId)?.size ?? 0
      const formerFiles = withoutFormer(state.formerFiles, file.fileId)
      return { ...state, files, formerFiles, fileBytes: state.fileBytes - replaced + file.size }
    }
    case "FilesSwept": {
      const files = new Map(state.files)
      const mark = (fileId: FileId, orphanedAt: number | null) => {
        const file = files.get(fileId)
        if (file !== undefined) files.set(fileId, { ...file, orphanedAt })
      }
      for (const fileId of decoded.orphaned) mark(fileId, event.recordedAt)
      for (const fileId of decoded.revived) mark(fileId, null)
      let { fileBytes } = state
      for (const fileId of decoded.deleted) {
        fileBytes -= files.get(fileId)?.size ?? 0
        files.delete(fileId)
      }
      const formerFiles = decoded.keepsOwners ? formerFilesAfter(state, decoded.deleted) : state.formerFiles
      return { ...state, files, formerFiles, fileBytes }
    }
    case "Evicted":
      return {
        ...initial,
        formerReplicas: new Map(decoded.replicas),
        formerFiles: new Map(decoded.files),
        purged: event.version,
        purgeable: event.version,
        version: event.version,
        generation: event.generation + 1
      }
    case "Deleted":
      return { ...initial, version: event.version, generation: event.generation + 1, isDeleted: true }
    case "AllowedAgain":
      return { ...initial, version: event.version, generation: event.generation }
    case "Pruned":
      return { ...state, purged: Math.max(state.purged, purgesBefore(event)) }
  }
}

const withPurged = (state: LibraryState, before: number): LibraryState => {
  const purged = Math.max(state.purged, before)
  return { ...state, purged, purgeable: purged }
}

const outOfPlace = ({ type, version }: StreamEvent): Error =>
  new Error(`Version ${version} is a ${type} out of its place`)

const payloadOf = (event: StreamEvent, payload: Uint8Array | null): Uint8Array => {
  if (payload === null) throw new Error(`The payload of version ${event.version} is missing, though nothing purged it`)
  return payload
}

/** Remembered replicas per user. The one heard of longest ago is forgotten first, and is reset when it comes back. */
const MAX_REPLICAS_OF_USER = 1000

const withReplica = (state: LibraryState, replica: Replica): LibraryState => {
  const replicas = new Map(state.replicas)
  if (replicas.has(replica.id)) return { ...state, replicas: replicas.set(replica.id, replica) }
  let formerReplicas = withoutFormer(state.formerReplicas, replica.id)
  const own = Array.from(replicas.values()).filter(({ userId }) => userId === replica.userId)
  if (own.length >= MAX_REPLICAS_OF_USER) {
    const oldest = own.reduce((oldest, other) => (other.seen < oldest.seen ? other : oldest))
    replicas.delete(oldest.id)
    formerReplicas = withFormerReplicas(formerReplicas, [[oldest.id, oldest.userId]])
  }
  return { ...state, replicas: replicas.set(replica.id, replica), formerReplicas }
}

const joined = (
  state: LibraryState,
  event: StreamEvent,
  { asOf, replicaId, reset, sentAll, type, userId }: Extract<LibraryEvent, { _tag: "ReplicaJoined" }>
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
    joinedAt: event.version,
    ...(sentAll === true && { sentAllAt: event.recordedAt })
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

/** Without its file, a reference is a promise: it counts if its author uploads the file. */
const mayReadFile =
  (state: LibraryState, userId: string) =>
  (fileId: FileId): boolean => {
    const file = state.files.get(fileId)
    return file !== undefined && mayRead(state, file, userId)
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
    // A replica that had everything has its own operations as well.
    received: hasAll ? version : before.received,
    wrote: stored.olderMayFollow === true ? (before?.wrote ?? null) : latest([before?.wrote, wrote]),
    seen: event.recordedAt,
    isTruant: false,
    joinedAt: before?.joinedAt ?? version,
    asOf: before?.asOf ?? "",
    ...sentAllAt(stored.sentAll === true ? event.recordedAt : before?.sentAllAt)
  }
  // A restored library holds what all users wrote.
  const isRestored = stored.initial && state.generation > 0
  const isServers = replicaId === SERVER_REPLICA
  const referrer: ReferenceAuthor = isRestored || isServers ? UNKNOWN : { userId, mayRead: mayReadFile(state, userId) }
  let baselines = state.baselines
  const replaced: Array<StoredBaseline> = []
  const entities = HashMap.mutate(state.entities, (entities) => {
    for (const baseline of items.baselines) {
      const entity = Option.getOrUndefined(HashMap.get(entities, baseline.oid))
      if (entity?.baseline === undefined) baselines += 1
      else replaced.push(entity.baseline)
      const operations = entity?.operations ?? []
      HashMap.set(entities, baseline.oid, withSize(undefined, { baseline, operations }, operations))
    }
    addOperations(entities, operations)
  })
  return {
    ...(isServers ? state : withReplica(state, replica)),
    entities,
    fileReferences: withoutReferences(
      withReferences(withReferences(state.fileReferences, items.baselines, referrer), operations, referrer),
      replaced
    ),
    batches: withBatch(state.batches, { version, replicaId: author, operations, baselines: items.baselines }),
    operations: state.operations + operations.length,
    newest: latest([state.newest, wrote, ...items.baselines.map(({ timestamp }) => timestamp)]),
    baselines,
    lease: undefined
  }
}

const sentAllAt = (at: number | undefined): Pick<Replica, "sentAllAt"> => (at === undefined ? {} : { sentAllAt: at })
