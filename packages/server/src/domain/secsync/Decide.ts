/**
 * The rules of a Secsync document: which snapshots, updates and evictions become events. Pure: the same events give the
 * same decision on every machine, and `replay --verify` decides the log again with them.
 *
 * Source: the wire protocol of the `secsync` client 0.5.0.
 */

import { HashMap, Result } from "effect"
import type { PublicKey } from "../Ids.ts"
import { type LogUse, noQuota, type Quota } from "../Quota.ts"
import { ALLOWED_AGAIN, DELETED, EVICTED } from "../Stream.ts"
import type { DocumentCommand, DocumentRefusal, StoreSnapshot, StoreUpdate } from "./Commands.ts"
import type { DocumentEvent, SnapshotProof, SnapshotStored, UpdateStored } from "./Events.ts"
import { covers, nextProof, proofOf } from "./Proofs.ts"
import { type AuthorClock, authorClock, type DocumentState, lastClocks } from "./State.ts"

/** The parts of a quota that a document is held to, and the use that it and its library make of them. */
export interface DocumentContext {
  readonly quota: Pick<Quota, "documents" | "documentBytes" | "documentAuthors" | "events" | "payloadBytes">
  readonly documents: number
  /** The library's. Default: nothing. */
  readonly logUse?: LogUse
  /** False: a snapshot cannot make a document that does not exist. Default: true. */
  readonly mayCreate?: boolean
  /** When the log was last restored from a backup, milliseconds since 1970. Default: never. */
  readonly restoredAt?: number | undefined
}

const unlimited: DocumentContext = { quota: noQuota, documents: 0 }

export const decide = (
  state: DocumentState,
  command: DocumentCommand,
  context: DocumentContext = unlimited
): Result.Result<DocumentEvent, DocumentRefusal> => {
  switch (command._tag) {
    case "StoreSnapshot":
      return decideSnapshot(state, command, context)
    case "StoreUpdate":
      return decideUpdate(state, command, context)
    case "Evict":
      return state.active === undefined
        ? refuse({ _tag: "NothingToEvict" })
        : Result.succeed({
            _tag: EVICTED,
            snapshot: proofOf(state.active),
            clocks: lastClocks(state.clocks)
          })
    case "CreateDocument":
      if (state.isDeleted) return refuse({ _tag: "DocumentDeleted" })
      if (state.isCreated) return refuse({ _tag: "DocumentExists" })
      if (context.documents >= context.quota.documents) return refuse({ _tag: "QuotaReached" })
      return Result.succeed({ _tag: "DocumentCreated" })
    case "DeleteDocument":
      return state.isDeleted ? refuse({ _tag: "DocumentDeleted" }) : Result.succeed({ _tag: DELETED })
    case "AllowDocument":
      return state.isDeleted ? Result.succeed({ _tag: ALLOWED_AGAIN }) : refuse({ _tag: "NothingToAllow" })
  }
}

const decideSnapshot = (
  state: DocumentState,
  command: StoreSnapshot,
  context: DocumentContext
): Result.Result<SnapshotStored, DocumentRefusal> => {
  const { documents, mayCreate, quota } = context
  if (command.documentId !== state.documentId) return refuse({ _tag: "WrongDocument" })
  if (state.isDeleted) return refuse({ _tag: "DocumentDeleted" })
  if (mayCreate === false && !state.isCreated) return refuse({ _tag: "DocumentMissing" })
  if (state.active?.snapshotId === command.snapshotId && state.active.payloadHash === command.payloadHash) {
    return refuse({ _tag: "AlreadyStored" })
  }
  const parent = state.active ?? restorable(state, command)
  const isParentLost = command.parentIsUnknown === true && parent !== undefined && mayComeBack(state, context)
  if (parent !== undefined && !isParentLost && command.parentSnapshotId !== parent.snapshotId)
    return refuse({ _tag: "SnapshotOutdated" })
  // The parent's id is in use even if this log never held the parent.
  if (command.used || command.snapshotId === command.parentSnapshotId) return refuse({ _tag: "SnapshotIdUsed" })
  if (!isParentLost && !hasClocksOf(state, command, context)) {
    return refuse({ _tag: "SnapshotMissesUpdates" })
  }
  // The author of a missing update could not continue from such a snapshot. Its sender has the update by the next try.
  if (parent !== undefined && !isParentLost && restoresTooEarly(state, command))
    return refuse({ _tag: "SnapshotMissesUpdates" })
  // A server cannot check the proof of a parent that it does not hold: an empty log begins with the snapshot of a client.
  const begins = state.active === undefined && state.evicted === undefined && command.parentSnapshotId !== ""
  if (!begins && !isParentLost && command.parentSnapshotProof !== nextProof(parent)) {
    return refuse({ _tag: "SnapshotProofInvalid" })
  }
  if (!state.isCreated && documents >= quota.documents) return refuse({ _tag: "QuotaReached" })
  if ((command.payloadBytes ?? 0) > quota.documentBytes || isLibraryFull(command, context))
    return refuse({ _tag: "QuotaReached" })
  return Result.succeed({
    _tag: "SnapshotStored",
    snapshotId: command.snapshotId,
    ciphertextHash: command.ciphertextHash,
    parentSnapshotProof: command.parentSnapshotProof,
    parentSnapshotId: command.parentSnapshotId,
    parentSnapshotUpdateClocks: Object.fromEntries(command.parentSnapshotUpdateClocks),
    pubKey: command.pubKey,
    ...(isParentLost && { parentLost: true as const }),
    ...sizeOf(command)
  })
}

/** Whether a snapshot has the clocks of the active one's updates. Those of a client that knows more than a restored log go beyond. */
const hasClocksOf = (
  { active, clocks }: DocumentState,
  { knowsMore, parentSnapshotUpdateClocks }: StoreSnapshot,
  { restoredAt }: DocumentContext
): boolean =>
  active === undefined ||
  (knowsMore === true || restoredAt !== undefined
    ? covers(parentSnapshotUpdateClocks, lastClocks(clocks))
    : sameClocks(clocks, parentSnapshotUpdateClocks))

/** Whether the log holds as much of the library as its quota allows. */
const isLibraryFull = (
  { payloadBytes = 0 }: { readonly payloadBytes?: number },
  { logUse, quota }: DocumentContext
): boolean =>
  logUse !== undefined && (logUse.events >= quota.events || logUse.payloadBytes + payloadBytes > quota.payloadBytes)

const sameClocks = (clocks: DocumentState["clocks"], claimed: ReadonlyMap<PublicKey, number>): boolean =>
  HashMap.size(clocks) === claimed.size &&
  Array.from(clocks).every(([key, author]) => claimed.get(key) === author.clock)

/**
 * Whether a client may bring back a snapshot that a restored log does not hold: while no client has written since the restore,
 * the log holds nothing that the client lacks.
 */
export const mayComeBack = (
  { writtenAt }: DocumentState,
  { restoredAt }: Pick<DocumentContext, "restoredAt">
): boolean => restoredAt !== undefined && writtenAt < restoredAt

const decideUpdate = (
  state: DocumentState,
  command: StoreUpdate,
  context: DocumentContext
): Result.Result<UpdateStored, DocumentRefusal> => {
  const { quota } = context
  if (command.documentId !== state.documentId) return refuse({ _tag: "WrongDocument" })
  if (state.isDeleted) return refuse({ _tag: "DocumentDeleted" })
  if (state.active === undefined) return refuse({ _tag: "NoSnapshot" })
  if (command.refSnapshotId !== state.active.snapshotId) return refuse({ _tag: "UpdateOutdated" })
  const author = authorClock(state, command.pubKey)
  const expected = author === undefined ? 0 : author.clock + 1
  if (command.clock < expected) {
    return refuse(isRepeat(author, command) ? { _tag: "AlreadyStored" } : { _tag: "ClockTaken", expected })
  }
  if (command.clock > expected) return refuse({ _tag: "ClockAhead", expected })
  const isCrowded = author === undefined && HashMap.size(state.clocks) >= quota.documentAuthors
  const isLarge = state.bytes + (command.payloadBytes ?? 0) > quota.documentBytes
  // A client that is refused a snapshot rests. A client that is refused an update would send it again at once.
  if (isLibraryFull(command, context)) return refuse({ _tag: "SnapshotDue" })
  if (isCrowded || isLarge || state.updates >= command.snapshotDueAfter) return refuse({ _tag: "SnapshotDue" })
  const { clock, payloadBytes, pubKey, refSnapshotId } = command
  // In the order of canonical JSON, of which the chain is made: keys that are in order need no sorting.
  return Result.succeed(
    payloadBytes === undefined
      ? { _tag: "UpdateStored", clock, pubKey, refSnapshotId }
      : { _tag: "UpdateStored", clock, payloadBytes, pubKey, refSnapshotId }
  )
}

const sizeOf = ({ payloadBytes }: StoreSnapshot): Pick<SnapshotStored, "payloadBytes"> =>
  payloadBytes === undefined ? {} : { payloadBytes }

const refuse = (refusal: DocumentRefusal): Result.Result<never, DocumentRefusal> => Result.fail(refusal)

/** The evicted snapshot, if this command continues it. A snapshot without a parent starts a new line instead. */
const restorable = (state: DocumentState, command: StoreSnapshot): SnapshotProof | undefined =>
  command.parentSnapshotId === "" ? undefined : state.evicted?.snapshot

const restoresTooEarly = ({ active, evicted }: DocumentState, command: StoreSnapshot): boolean =>
  command.sentEverything === true &&
  active === undefined &&
  evicted !== undefined &&
  !covers(command.parentSnapshotUpdateClocks, evicted.clocks)

const isRepeat = (newest: AuthorClock | undefined, command: StoreUpdate): boolean => {
  let author = newest
  while (author !== undefined && author.clock > command.clock) author = author.previous
  return author?.clock === command.clock && author.payloadHash === command.payloadHash
}
