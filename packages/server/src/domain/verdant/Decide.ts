/** The rules of a Verdant library: which commands become events. Pure: the same arguments give the same decision. */
import { Result } from "effect"
import { blake2b256 } from "../Blake2b.ts"
import type { FileId } from "../Ids.ts"
import type { NewEvent } from "../Stream.ts"
import { mayBegin } from "./Checkpoint.ts"
import type { Author, ChangeDocument, LibraryCommand, LibraryRefusal, StoreOperations, Sync } from "./Commands.ts"
import { type CompactionOptions, compact, type Portion, slice } from "./Compaction.ts"
import type { DecisionContext } from "./Context.ts"
import { oversized } from "./EntityBounds.ts"
import { type LibraryEvent, type OperationsStored, toNewEvent } from "./Events.ts"
import { formerFilesAfterEviction, mayUpload } from "./FileOwners.ts"
import { sweepFiles } from "./Files.ts"
import type { FormerOwners } from "./FormerOwners.ts"
import { deletionsIn, hasRoomFor, hasRoomForDeletions, hasRoomForReplica, roomForFile } from "./LibraryQuota.ts"
import type { MergeOptions } from "./Mergeable.ts"
import { mergeSlice } from "./Merging.ts"
import { isUpToDate } from "./Missed.ts"
import { encodeItems, type Items } from "./model/PayloadCodec.ts"
import type { OwnedOperation } from "./model/StoredItems.ts"
import { beforeAll, isBeforeAll, isOfPlausibleVersion, isTimely, latest, type Timestamp } from "./model/Timestamp.ts"
import {
  isBeingReset,
  isTruant,
  longestTruant,
  mayLoseWrites,
  withArrival,
  withKnowledge,
  withRecordable
} from "./Progress.ts"
import { lackedOf, owesAll } from "./Recovery.ts"
import { type FormerReplicas, formerAfterEviction, ownerOfReplica } from "./ReplicaOwners.ts"
import { SERVER, writtenBy } from "./ServerWrites.ts"
import {
  documentOwner,
  type Entity,
  entityOf,
  firstFrom,
  hasOperation,
  isEmpty,
  isNew,
  type LibraryState,
  type Replica
} from "./State.ts"
import { isWorthwhile, progressOf, promisesOf, receivedBeyond } from "./Watermark.ts"

/** The event that a command becomes. */
export interface LibraryDecision {
  readonly event: NewEvent
  readonly payload: Uint8Array | null
  /** Purges the payloads of events below this version. */
  readonly purgeBefore?: number
  /** The events below this version have no payload any more. */
  readonly purgeFrom?: number
}

type Decided = Result.Result<LibraryDecision, LibraryRefusal>

/** Events whose payloads one `Pruned` purges: some milliseconds of work for a storage. */
const PURGED_EVENTS = 1000

export const decide = (state: LibraryState, command: LibraryCommand, context: DecisionContext): Decided => {
  if (state.isDeleted) return decideOnDeleted(command)
  switch (command._tag) {
    case "Sync":
      return decideSync(state, command, context)
    case "StoreOperations":
      return decideOperations(state, command, context)
    case "ChangeDocument":
      return decideChange(state, command, context)
    case "AdvanceCursors": {
      const progress = progressOf(state, context)
      return isWorthwhile(state, progress) ? plain({ _tag: "CursorsAdvanced", ...progress }) : refuse("NothingToDo")
    }
    case "Compact":
      // A client acknowledges an answer before it stores it. An operation that is merged before that could not be sent again.
      return decideCompaction(withRecordable(state, context), {
        ...mergeOptions(command, context),
        portion: slice()
      })
    case "Merge":
      return decideMerge(state, withRecordable(state, context), {
        ...mergeOptions(command, context),
        oids: command.oids,
        portion: slice()
      })
    case "BeginCheckpoint": {
      const { bytes, foldedUpTo, newest, purged, watermark } = state
      return mayBegin(state, context.now)
        ? plain({ _tag: "CheckpointBegun", library: { watermark, newest, foldedUpTo, bytes, purged } })
        : refuse("NothingToDo")
    }
    case "WriteCheckpointPart": {
      const { of, part, payload } = command
      if (state.writing?.of !== of || state.writing.parts !== part) return refuse("NothingToDo")
      return Result.succeed({ event: toNewEvent({ _tag: "CheckpointPart", of, part }, blake2b256(payload)), payload })
    }
    case "EndCheckpoint": {
      const { of, parts } = command
      if (state.writing?.of !== of || state.writing.parts !== parts) return refuse("NothingToDo")
      return plain({ _tag: "CheckpointEnded", of, parts, before: state.readsFrom })
    }
    case "PurgePayloads": {
      const { purgeable, purged } = state
      if (purged >= purgeable) return refuse("NothingToDo")
      const before = Math.min(purgeable, purged + PURGED_EVENTS)
      const event = toNewEvent({ _tag: "Pruned", before }, "")
      return Result.succeed({ event, payload: null, purgeBefore: before, purgeFrom: purged })
    }
    case "ForgetReplica": {
      const replica = state.replicas.get(command.replicaId)
      return replica === undefined ? refuse("NothingToDo") : forgetReplica(replica)
    }
    case "MakeTruant":
      return state.replicas.get(command.replicaId)?.isTruant === false
        ? plain({ _tag: "ReplicaMadeTruant", replicaId: command.replicaId })
        : refuse("NothingToDo")
    case "StoreFile": {
      const { fileId, size, userId } = command.file
      if (!mayUpload(state, fileId, userId)) return refuse("AnothersFile")
      return size <= roomForFile(state, fileId, context)
        ? plain({ _tag: "FileStored", ...command.file })
        : refuse("QuotaReached")
    }
    case "SweepFiles": {
      const swept = sweepFiles(state, { keep: command.keep, now: context.now })
      return swept === undefined ? refuse("NothingToDo") : plain({ _tag: "FilesSwept", ...swept })
    }
    case "Look":
      return refuse("NothingToDo")
    case "EvictLibrary":
      return isEmpty(state) && state.replicas.size === 0 && state.files.size === 0
        ? refuse("NothingToDo")
        : Result.succeed({ ...evictionOf(state), purgeBefore: state.version + 1 })
    case "DeleteLibrary":
      return plain({ _tag: "Deleted" })
    case "AllowLibrary":
      return refuse("NothingToDo")
  }
}

const decideOnDeleted = ({ _tag }: LibraryCommand): Decided => {
  switch (_tag) {
    case "AllowLibrary":
      return plain({ _tag: "AllowedAgain" })
    case "Sync":
    case "StoreOperations":
    case "ChangeDocument":
    case "StoreFile":
    case "DeleteLibrary":
      return refuse("LibraryDeleted")
    default:
      return refuse("NothingToDo")
  }
}

/** The eviction of a library. `replicas` and `files`: those that it had until then, and those before. */
export const evicted = (replicas: FormerReplicas, files: FormerOwners<FileId>): LibraryDecision => {
  const owners = {
    ...(replicas.size > 0 && { replicas: Array.from(replicas) }),
    ...(files.size > 0 && { files: Array.from(files) })
  }
  return { event: toNewEvent({ _tag: "Evicted", ...owners }, ""), payload: null }
}

export const evictionOf = (state: LibraryState): LibraryDecision =>
  evicted(formerAfterEviction(state), formerFilesAfterEviction(state))

const forgetReplica = ({ id, userId }: Replica): Decided => plain({ _tag: "ReplicaForgotten", replicaId: id, userId })

const plain = (event: LibraryEvent): Result.Result<LibraryDecision, never> =>
  Result.succeed({ event: toNewEvent(event, ""), payload: null })

const refuse = (_tag: LibraryRefusal["_tag"]): Result.Result<never, LibraryRefusal> => Result.fail({ _tag })

// ------------------------------------------------------------------------------------------------------------ sync

/** How long, in milliseconds, other replicas wait for the one that was asked to restore the library. */
export const LEASE_MILLIS = 10_000

/** A new replica in a full library makes it forget a truant one first. Its sync is then decided again. */
const decideSync = (stored: LibraryState, command: Sync, context: DecisionContext): Decided => {
  const state = withKnowledge(stored, context)
  if (isAnothers(state, command)) return refuse("AnothersReplica")
  const replica = state.replicas.get(command.replicaId)
  const { since, timestamp } = command
  if (!isOfPlausibleVersion(latest([since, timestamp])!, state.newest)) return refuse("ImplausibleVersion")
  if (replica === undefined && !hasRoomForReplica(state, context.quota)) {
    const truant = longestTruant(state, context)
    return truant === undefined ? refuse("QuotaReached") : forgetReplica(truant)
  }
  if (isBeingReset(stored, command, context)) return refuse("AlreadyBeingReset")
  if (isNew(state)) return decideSyncOfNothing(stored, command, replica, context)
  if (owesAll(state, command, context)) return decideAll(stored, command, context)
  const known = replica === undefined ? undefined : withArrival(replica, command)
  const isOverdue = known !== undefined && isTruant(known, context) && !isUpToDate(state, known, known.received)
  if (known === undefined || known.received === null || command.resyncAll || isOverdue)
    return join(stored, command, true, context)
  // A client without history. Another one was asked for everything, and the library was filled before that came.
  if (command.since === null && !bringsTooMuch(known)) return join(stored, command, true, context)
  // The replica was reset, and then processed an answer from before that, which may be of a library that was evicted.
  if (command.since !== null && command.since < known.asOf) return join(stored, command, true, context)
  // The server takes nothing from a read-only client; its changes stay with it.
  if (!mayWrite(command))
    return known.type === command.type ? refuse("NothingNew") : join(stored, command, false, context)
  const taken = takeOperations(state, command, known)
  if (taken === "late") return join(stored, command, true, context)
  if (taken.length > 0) return storeOperations(stored, command, taken, [], context)
  return known.type === command.type && !known.isTruant ? refuse("NothingNew") : join(stored, command, false, context)
}

/** The log was restored: the replica is asked for everything, brings what the library lacks, and is then reset by the same sync. */
const decideAll = (state: LibraryState, command: Sync, context: DecisionContext): Decided => {
  if (command.since !== null) return refuse("RestoreAsked")
  const operations = lackedOf(state, command)
  const brought = withPayload({ operations, baselines: [] })
  // A reset would discard what there is no room for.
  if (operations.length > 0 && !hasRoomFor(state, brought, brought.payload.length, context)) {
    return refuse("QuotaReached")
  }
  const stored = storeOperations(state, command, operations, [], context, true)
  return Result.isSuccess(stored) ? stored : join(state, command, true, context)
}

/** The library is new or was evicted. The first client that sends something decides its content. */
const decideSyncOfNothing = (
  state: LibraryState,
  command: Sync,
  replica: Replica | undefined,
  context: DecisionContext
): Decided => {
  const { replicaId, since } = command
  const { lease } = state
  // Of another process, whose clock may be far ahead.
  const isLeased = lease !== undefined && Math.abs(context.now - lease.at) < LEASE_MILLIS
  const brings = command.operations.length + command.baselines.length > 0
  // A replica that synced before the eviction sends only its newest changes, so it is asked for everything.
  if (since !== null && replica === undefined) {
    if (!mayWrite(command)) return refuse("AwaitRestore")
    if (!isLeased) return plain({ _tag: "RestoreLeased", replicaId })
    return refuse(lease.replicaId === replicaId ? "RestoreAsked" : "AwaitRestore")
  }
  if (since !== null && replica !== undefined && bringsTooMuch(replica)) return refuse("RestoreAsked")
  if (!brings || !mayWrite(command)) {
    return replica === undefined || replica.type !== command.type
      ? join(state, command, false, context)
      : refuse("NothingNew")
  }
  if (isLeased && lease.replicaId !== replicaId) return refuse("AwaitRestore")
  const operations = command.operations.filter((operation, i, all) => isFirst(operation, i, all))
  const stored = storeOperations(state, command, operations, command.baselines, context)
  const isTooMuch = Result.isFailure(stored) && stored.failure._tag === "QuotaReached"
  if (!isTooMuch || replica !== undefined) return stored
  const early = { ...command, timestamp: beforeAll({ sameVersionAs: command.timestamp as Timestamp }) }
  return join(state, early, false, context)
}

/**
 * Whether a replica joined an empty library that had no room for what it brought. It joined as of before everything, so its
 * client keeps what it has, and is asked for all of it until the library takes that or others fill it.
 */
const bringsTooMuch = ({ asOf }: Replica): boolean => isBeforeAll(asOf as Timestamp)

const isFirst = ({ oid, timestamp }: OwnedOperation, i: number, all: ReadonlyArray<OwnedOperation>): boolean =>
  i === 0 || all[i - 1]!.oid !== oid || all[i - 1]!.timestamp !== timestamp

const isAnothers = (state: LibraryState, { replicaId, userId }: Author): boolean =>
  replicaId === SERVER.replicaId || (ownerOfReplica(state, replicaId) ?? userId) !== userId

const mayWrite = ({ type }: { readonly type: number }): boolean => type < 4

/** `state`: before the join. Once the log was restored, the event says that the replica holds nothing that it lost. */
const join = (state: LibraryState, command: Sync, reset: boolean, { restoredAt }: DecisionContext): Decided =>
  plain({
    _tag: "ReplicaJoined",
    replicaId: command.replicaId,
    userId: command.userId,
    type: command.type,
    reset,
    asOf: command.timestamp,
    ...(restoredAt !== undefined && (reset || !state.replicas.has(command.replicaId)) && { sentAll: true as const })
  })

// ------------------------------------------------------------------------------------------------------ operations

/**
 * A replica whose operations come too late to be put in their place, or that lacks what others have, is forgotten, so that its client
 * is reset. Were they only refused, newer ones behind them would be stored, and the client would take all of them for stored.
 */
const decideOperations = (stored: LibraryState, command: StoreOperations, context: DecisionContext): Decided => {
  const state = withKnowledge(stored, context)
  if (isAnothers(state, command)) return refuse("AnothersReplica")
  const replica = state.replicas.get(command.replicaId)
  if (replica === undefined) return refuse("NotJoined")
  // The operations may be on objects that the library lacks.
  if (isEmpty(state) && bringsTooMuch(replica)) return refuse("QuotaReached")
  if (isTruant(replica, context) && !isUpToDate(state, replica, replica.received)) return forgetReplica(replica)
  const taken = takeOperations(state, command, replica)
  if (taken === "late") return mayLoseWrites(stored, replica.id, context) ? refuse("TooLate") : forgetReplica(replica)
  return taken.length === 0 ? refuse("NothingNew") : storeOperations(stored, command, taken, [], context)
}

/**
 * The operations that are not stored yet. "late": one of them belongs before the watermark, where others may have compacted,
 * and either its author did not know all that others wrote, or a newer one of its entity may be compacted. A client that
 * has compacted that one would apply this one after it, and a client that has not would apply this one before it.
 *
 * A replica sends its operations in their order. So an operation that is older than both the watermark and the replica's
 * newest one was stored and compacted before, and is sent again. While the replica is being reset, its order does not count.
 */
const takeOperations = (
  state: LibraryState,
  { operations }: { readonly operations: ReadonlyArray<OwnedOperation> },
  replica: Replica
): ReadonlyArray<OwnedOperation> | "late" => {
  const taken: Array<OwnedOperation> = []
  const seen = new Set<string>()
  for (const operation of operations) {
    const { oid, timestamp } = operation
    const name = `${timestamp} ${oid}`
    if (seen.has(name)) continue
    seen.add(name)
    if (hasOperation(state, oid, timestamp)) continue
    if (state.watermark !== null && timestamp < state.watermark) {
      if (replica.wrote !== null && timestamp <= replica.wrote) continue
      const entity = entityOf(state, oid)
      // It is the last one that was compacted.
      if (entity?.baseline?.timestamp === timestamp) continue
      if (!isUpToDate(state, replica, replica.received)) return "late"
      if (isOvertaken(entity, timestamp, state.watermark)) return "late"
    }
    taken.push(operation)
  }
  return taken
}

/** Whether an entity has a newer operation than `timestamp` that belongs before the watermark. */
const isOvertaken = (entity: Entity | undefined, timestamp: string, watermark: string): boolean => {
  if (entity === undefined) return false
  const { baseline, operations } = entity
  if (baseline !== undefined && baseline.timestamp > timestamp) return true
  const next = operations[firstFrom(operations, timestamp)]
  return next !== undefined && next.timestamp < watermark
}

/** Whether a user may not write an operation, because its document belongs to another user. */
export const isForbidden = (state: LibraryState, { oid, owner }: OwnedOperation, userId: string): boolean => {
  const current = documentOwner(state, oid)
  return (owner !== null && owner !== userId) || (current !== undefined && current !== null && current !== userId)
}

/**
 * Whether an operation was refused, in the state after the command that brought it: it is not the user's to write, or its
 * object or the library has no room for it. An operation older than the watermark may be missing because it was compacted.
 */
export const isRefused = (state: LibraryState, operation: OwnedOperation, userId: string): boolean => {
  const { oid, timestamp } = operation
  if (isForbidden(state, operation, userId)) return true
  return (state.watermark === null || timestamp >= state.watermark) && !hasOperation(state, oid, timestamp)
}

/**
 * `state`: of the log alone, because the event records progress beyond that. `sentAll`: the operations are what the library
 * lacked of all that the replica has.
 */
const storeOperations = (
  state: LibraryState,
  command: Sync | StoreOperations,
  operations: ReadonlyArray<OwnedOperation>,
  sentBaselines: Sync["baselines"],
  context: DecisionContext,
  sentAll = false
): Decided => {
  const isPlausible = ({ timestamp }: { readonly timestamp: string }) => isOfPlausibleVersion(timestamp, state.newest)
  const baselines = sentBaselines.filter(isPlausible)
  const own = operations.filter((operation) => isPlausible(operation) && !isForbidden(state, operation, command.userId))
  const refused = oversized(state, own, baselines, context.quota)
  const allowed = refused.size === 0 ? own : own.filter((operation) => !refused.has(operation))
  const brought = withPayload({ operations: allowed, baselines })
  if (isNothing(brought)) return refuse("NothingNew")
  let taken = brought
  if (!hasRoomFor(state, brought, brought.payload.length, context)) {
    // Part of a library would replace what the other replicas have, so a client brings all of it or nothing.
    if (command._tag === "Sync" && isNew(state)) return refuse("QuotaReached")
    taken = withPayload({ operations: deletionsIn(state, allowed), baselines: [] })
    if (isNothing(taken) || !hasRoomForDeletions(state, taken, taken.payload.length, context)) {
      return refuse("NothingNew")
    }
  }
  const mayLack = command._tag === "StoreOperations" && mayLoseWrites(state, command.replicaId, context)
  return operationsStored(state, command, taken, {
    ...promisesOf(state, context),
    ...(mayLack && { authorMayLack: true, olderMayFollow: true }),
    ...(sentAll && { sentAll: true })
  })
}

const operationsStored = (
  state: LibraryState,
  { replicaId, role, type, userId }: Author,
  { baselines, operations, payload }: Items & { readonly payload: Uint8Array },
  more: Partial<typeof OperationsStored.Type>
): Decided => {
  const event: typeof OperationsStored.Type = {
    ...({ _tag: "OperationsStored", replicaId, userId, type } as const),
    operations: operations.length,
    baselines: baselines.length,
    initial: isEmpty(state),
    wrote: latest(operations.map(({ timestamp }) => timestamp)),
    ...(role !== undefined && { role }),
    ...more
  }
  return Result.succeed({ event: toNewEvent(event, blake2b256(payload)), payload })
}

const withPayload = (items: Items): Items & { readonly payload: Uint8Array } => ({
  ...items,
  payload: encodeItems(items)
})

const isNothing = ({ baselines, operations }: Items): boolean => operations.length + baselines.length === 0

// ------------------------------------------------------------------------------------------- writes by the server

const decideChange = (state: LibraryState, { change, root }: ChangeDocument, context: DecisionContext): Decided => {
  if (isNew(state) || state.newest === null) return refuse("LibraryEmpty")
  const written = writtenBy(state, root, change, { newest: state.newest as Timestamp, now: context.now })
  return written === "tooLarge" ? refuse("TooLarge") : decideWritten(state, written, context)
}

/** Operations of the server: in their order, and later than everything in the library. It may write every document. */
export const decideWritten = (
  state: LibraryState,
  operations: ReadonlyArray<OwnedOperation>,
  context: DecisionContext
): Decided => {
  const { newest } = state
  if (isNew(state) || newest === null) return refuse("LibraryEmpty")
  if (operations.length === 0) return refuse("NothingNew")
  const rises = operations.every(({ timestamp }, i) => timestamp > (operations[i - 1]?.timestamp ?? newest))
  if (!rises || !isTimely(operations.at(-1)!.timestamp, context.now)) return refuse("ClockBehind")
  if (oversized(state, operations, [], context.quota).size > 0) return refuse("TooLarge")
  const written = withPayload({ operations, baselines: [] })
  const isDeletion = deletionsIn(state, operations).length === operations.length
  const hasRoom = (isDeletion ? hasRoomForDeletions : hasRoomFor)(state, written, written.payload.length, context)
  return hasRoom ? operationsStored(state, SERVER, written, promisesOf(state, context)) : refuse("QuotaReached")
}

// ------------------------------------------------------------------------------------------------------ compaction

const mergeOptions = ({ upTo }: { readonly upTo?: string }, context: DecisionContext): MergeOptions => ({
  isTruant: (replica) => isTruant(replica, context),
  upTo
})

/** `known`: the state with what the replicas are known to have received, which the event records. */
export const decideMerge = (
  state: LibraryState,
  known: LibraryState,
  options: MergeOptions & { readonly oids: Iterable<string>; readonly portion: Portion }
): Decided => {
  const merged = mergeSlice(known, options)
  if (merged === undefined) return refuse("NothingToDo")
  const { payload, ...counts } = merged
  const cursors = receivedBeyond(state, known)
  const event = toNewEvent({ _tag: "OperationsMerged", ...counts, ...(cursors && { cursors }) }, blake2b256(payload))
  return Result.succeed({ event, payload })
}

export const decideCompaction = (state: LibraryState, options: CompactionOptions): Decided => {
  const compacted = compact(state, options)
  if (compacted === undefined) return refuse("NothingToDo")
  const { payload, ...counts } = compacted
  const before = state.readsFrom
  const event = toNewEvent({ _tag: "Folded", before, ...counts }, blake2b256(payload))
  return Result.succeed({ event, payload, purgeBefore: before, purgeFrom: state.purged })
}
