/** The rules of a Verdant library: which messages become events. */
import { Result } from "effect"
import { blake2b256 } from "../Blake2b.ts"
import type { NewEvent } from "../Stream.ts"
import type { Circumstances, LibraryCommand, LibraryRefusal, StoreOperations, Sync } from "./Commands.ts"
import { fold } from "./Compaction.ts"
import { type LibraryEvent, type OperationsStored, toNewEvent } from "./Events.ts"
import { sweepFiles } from "./FileReferences.ts"
import { isUpToDate } from "./Missed.ts"
import { encodeItems } from "./model/PayloadCodec.ts"
import type { OwnedOperation } from "./model/StoredItems.ts"
import { latest } from "./model/Timestamp.ts"
import { documentOwner, hasOperation, isEmpty, type LibraryState, type Replica } from "./State.ts"
import { isTruant, isWorthwhile, progressOf, settle } from "./Watermark.ts"

/** What a command becomes. */
export interface LibraryDecision {
  readonly event: NewEvent
  readonly payload: Uint8Array | null
  /** Payloads of events with a smaller version go. */
  readonly purgeBefore?: number
}

type Decided = Result.Result<LibraryDecision, LibraryRefusal>

export const decide = (state: LibraryState, command: LibraryCommand): Decided => {
  switch (command._tag) {
    case "Sync":
      return decideSync(state, command)
    case "StoreOperations":
      return decideOperations(state, command)
    case "AdvanceCursors": {
      const progress = progressOf(state, command)
      return isWorthwhile(state, progress) ? plain({ _tag: "CursorsAdvanced", ...progress }) : refuse("NothingToDo")
    }
    case "Fold": {
      const folded = fold(settle(state, command), (replica) => isTruant(replica, command))
      if (folded === undefined) return refuse("NothingToDo")
      const { payload, ...counts } = folded
      const before = state.checkpoint
      const event = toNewEvent({ _tag: "Folded", before, ...counts }, blake2b256(payload))
      return Result.succeed({ event, payload, purgeBefore: before })
    }
    case "ForgetReplica":
      return state.replicas.has(command.replicaId)
        ? plain({ _tag: "ReplicaForgotten", replicaId: command.replicaId })
        : refuse("NothingToDo")
    case "MakeTruant":
      return state.replicas.get(command.replicaId)?.isTruant === false
        ? plain({ _tag: "ReplicaMadeTruant", replicaId: command.replicaId })
        : refuse("NothingToDo")
    case "StoreFile":
      return plain({ _tag: "FileStored", ...command.file })
    case "SweepFiles": {
      const swept = sweepFiles(state, command)
      return swept === undefined ? refuse("NothingToDo") : plain({ _tag: "FilesSwept", ...swept })
    }
    case "Look":
      return refuse("NothingToDo")
    case "EvictLibrary":
      return isEmpty(state) && state.replicas.size === 0 && state.files.size === 0
        ? refuse("NothingToDo")
        : Result.succeed({ ...evicted, purgeBefore: state.version + 1 })
  }
}

/** The eviction of a library that holds something. */
export const evicted: LibraryDecision = { event: toNewEvent({ _tag: "Evicted" }, ""), payload: null }

const plain = (event: LibraryEvent): Result.Result<LibraryDecision, never> =>
  Result.succeed({ event: toNewEvent(event, ""), payload: null })

const refuse = (_tag: LibraryRefusal["_tag"]): Result.Result<never, LibraryRefusal> => Result.fail({ _tag })

// ------------------------------------------------------------------------------------------------------------ sync

/** Who was asked for a library's history and has not sent it by then is not waited for. */
export const LEASE_MILLIS = 10_000

const decideSync = (stored: LibraryState, command: Sync): Decided => {
  const state = settle(stored, command)
  const replica = state.replicas.get(command.replicaId)
  if (replica !== undefined && replica.userId !== command.userId) return refuse("AnothersReplica")
  if (isEmpty(state)) {
    // It would bring the library back without what it was sent of it last, and store that afterwards.
    const isStoring = command.isPolling && command.cursors.isStoringEvicted(command.replicaId, command.now)
    return isStoring ? refuse("BeginsAnew") : decideSyncOfNothing(state, command, replica)
  }
  const known = replica === undefined ? undefined : withArrival(replica, command)
  const isOverdue = known !== undefined && isTruant(known, command) && !isUpToDate(state, known, known.received)
  if (known !== undefined && command.isPolling && wasJustReset(known, command)) return refuse("BeginsAnew")
  if (known === undefined || known.received === null || command.since === null || command.resyncAll || isOverdue) {
    return join(command, true)
  }
  // It began anew since, and then processed an answer from before that: what that held may be of no library any more.
  if (command.since < known.asOf) return join(command, true)
  // What one that may only read has changed stays with it.
  if (!mayWrite(command)) return known.type === command.type ? refuse("NothingNew") : join(command, false)
  const taken = takeOperations(state, command, known)
  if (taken === "late") return join(command, true)
  if (taken.length > 0) return storeOperations(state, command, taken, [])
  return known.type === command.type && !known.isTruant ? refuse("NothingNew") : join(command, false)
}

/** A library that holds nothing: new, or evicted. The first that brings it something decides what it is. */
const decideSyncOfNothing = (state: LibraryState, command: Sync, replica: Replica | undefined): Decided => {
  const { now, replicaId, since } = command
  const { lease } = state
  const isLeased = lease !== undefined && now - lease.at < LEASE_MILLIS
  const brings = command.operations.length + command.baselines.length > 0
  // A replica that has been here since the library began, or its last eviction, brings what it has written since.
  if (since !== null && replica === undefined) {
    if (!mayWrite(command)) return refuse("AwaitRestore")
    if (!isLeased) return plain({ _tag: "RestoreLeased", replicaId })
    return refuse(lease.replicaId === replicaId ? "RestoreAsked" : "AwaitRestore")
  }
  if (!brings || !mayWrite(command)) {
    return replica === undefined || replica.type !== command.type ? join(command, false) : refuse("NothingNew")
  }
  if (isLeased && lease.replicaId !== replicaId) return refuse("AwaitRestore")
  const operations = command.operations.filter((operation, i, all) => isFirst(operation, i, all))
  return storeOperations(state, command, operations, command.baselines)
}

const isFirst = ({ oid, timestamp }: OwnedOperation, i: number, all: ReadonlyArray<OwnedOperation>): boolean =>
  i === 0 || all[i - 1]!.oid !== oid || all[i - 1]!.timestamp !== timestamp

const mayWrite = ({ type }: { readonly type: number }): boolean => type < 4

const join = (command: Sync, reset: boolean): Decided =>
  plain({
    _tag: "ReplicaJoined",
    replicaId: command.replicaId,
    userId: command.userId,
    type: command.type,
    reset,
    asOf: command.timestamp
  })

/** How long a client may take to process all there is before it is sent that again. */
export const PROCESSING_MILLIS = 5000

const wasJustReset = ({ asOf, id, received, seen }: Replica, { cursors, now, since }: Sync): boolean =>
  received === null && (since === null || since < asOf) && now - seen < PROCESSING_MILLIS && !cursors.isUnanswered(id)

/** What a client was sent when it joined has arrived if it takes that for its last sync. */
const withArrival = (replica: Replica, { since }: Sync): Replica =>
  replica.received === null && since !== null && since >= replica.asOf
    ? { ...replica, received: replica.joinedAt }
    : replica

// ------------------------------------------------------------------------------------------------------ operations

const decideOperations = (stored: LibraryState, command: StoreOperations): Decided => {
  const state = settle(stored, command)
  const replica = state.replicas.get(command.replicaId)
  if (replica === undefined) return refuse("NotJoined")
  if (replica.userId !== command.userId) return refuse("AnothersReplica")
  if (isTruant(replica, command) && !isUpToDate(state, replica, replica.received)) return refuse("MustReset")
  const taken = takeOperations(state, command, replica)
  if (taken === "late") return refuse(isBeginning(replica, command) ? "TooLate" : "MustReset")
  return taken.length === 0 ? refuse("NothingNew") : storeOperations(state, command, taken, [])
}

/**
 * Whether what a replica writes may be gone from it before long, because it was sent all there is: its client puts that in
 * place of what it has, also of what it has written meanwhile.
 */
const isBeginning = (replica: Replica | undefined, { cursors }: Circumstances): boolean =>
  replica !== undefined && (replica.received === null || cursors.isUnsettled(replica.id))

/**
 * The operations that are not stored yet. "late": one of them belongs before what others may have folded, and its author
 * did not know all that others wrote.
 *
 * A replica sends its operations in their order, so one that is older than both what may be folded and what it wrote last
 * is sent again.
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
      if (!isUpToDate(state, replica, replica.received)) return "late"
    }
    taken.push(operation)
  }
  return taken
}

/** Operations that a user may not write, because they are of another user's document. */
export const isForbidden = (state: LibraryState, { oid, owner }: OwnedOperation, userId: string): boolean => {
  const current = documentOwner(state, oid)
  return (owner !== null && owner !== userId) || (current !== undefined && current !== null && current !== userId)
}

const storeOperations = (
  state: LibraryState,
  command: Sync | StoreOperations,
  operations: ReadonlyArray<OwnedOperation>,
  baselines: Sync["baselines"]
): Decided => {
  const allowed = operations.filter((operation) => !isForbidden(state, operation, command.userId))
  if (allowed.length + baselines.length === 0) return refuse("NothingNew")
  const payload = encodeItems({ operations: allowed, baselines })
  const event: typeof OperationsStored.Type = {
    _tag: "OperationsStored",
    replicaId: command.replicaId,
    userId: command.userId,
    type: command.type,
    operations: allowed.length,
    baselines: baselines.length,
    initial: isEmpty(state),
    wrote: latest(allowed.map(({ timestamp }) => timestamp)),
    ...(command._tag === "StoreOperations" &&
      isBeginning(state.replicas.get(command.replicaId), command) && { authorMayLack: true }),
    ...progressOf(state, command)
  }
  return Result.succeed({ event: toNewEvent(event, blake2b256(payload)), payload })
}
