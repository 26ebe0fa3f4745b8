/**
 * The rules of a Secsync document: which snapshots, updates and evictions become events, and what they make of its
 * state. Pure: the same events give the same state on every machine, and `replay` holds the log to it.
 *
 * Source: the wire protocol of the `secsync` client 0.5.0.
 */
import { Result, Schema } from "effect"
import { blake2b256 } from "../Blake2b.ts"
import { canonicalJson } from "../CanonicalJson.ts"
import { type DocumentId, Hash, PublicKey, SnapshotId, UpdateClock, UpdateClocks } from "../Ids.ts"
import { EVICTED, type NewEvent, PRUNED, type StreamEvent } from "../Stream.ts"

// ---------------------------------------------------------------------------------------------------------- events

/** What the proof of a later snapshot is made from. */
export const SnapshotProof = Schema.Struct({
  snapshotId: SnapshotId,
  ciphertextHash: Hash,
  parentSnapshotProof: Hash
})
export type SnapshotProof = typeof SnapshotProof.Type

export const SnapshotStored = Schema.TaggedStruct("SnapshotStored", {
  ...SnapshotProof.fields,
  /** "" for a document's first snapshot. */
  parentSnapshotId: Schema.Union([SnapshotId, Schema.Literal("")]),
  parentSnapshotUpdateClocks: UpdateClocks,
  pubKey: PublicKey
})
export type SnapshotStored = typeof SnapshotStored.Type

export const UpdateStored = Schema.TaggedStruct("UpdateStored", {
  refSnapshotId: SnapshotId,
  pubKey: PublicKey,
  clock: UpdateClock
})
export type UpdateStored = typeof UpdateStored.Type

/** The sealed bytes are gone; what was active then is kept, because a client that still has it can restore it. */
export const Evicted = Schema.TaggedStruct(EVICTED, {
  snapshot: SnapshotProof,
  clocks: UpdateClocks
})
export type Evicted = typeof Evicted.Type

/** Superseded sealed bytes are gone: those of events with a version before this. Nothing of the state depends on them. */
export const Pruned = Schema.TaggedStruct(PRUNED, { before: Schema.Int.check(Schema.isGreaterThan(0)) })
export type Pruned = typeof Pruned.Type

export const DocumentEvent = Schema.Union([SnapshotStored, UpdateStored, Evicted, Pruned])
export type DocumentEvent = typeof DocumentEvent.Type

/** Whether a document can be read from this event on. */
export const isCheckpoint = ({ _tag }: DocumentEvent): boolean => _tag === "SnapshotStored" || _tag === EVICTED

/** The event as a stream holds it. */
export const toNewEvent = (event: DocumentEvent, payloadHash: Hash | ""): NewEvent => {
  const { _tag, ...data } = event
  return { type: _tag, data, payloadHash, checkpoint: isCheckpoint(event) }
}

const decodeEvent = Schema.decodeUnknownSync(DocumentEvent)

/** The event that a stream holds. Throws when the row is not one of ours: a damaged log is not served. */
export const fromStreamEvent = (event: StreamEvent): DocumentEvent => decodeEvent({ ...event.data, _tag: event.type })

// ----------------------------------------------------------------------------------------------------------- state

/** An author's updates to the active snapshot, newest first: enough to know a repeat from a fork. */
export interface AuthorClock {
  readonly clock: number
  readonly payloadHash: string
  readonly previous: AuthorClock | undefined
}

export interface DocumentState {
  readonly documentId: DocumentId
  readonly active: (SnapshotProof & { readonly payloadHash: string }) | undefined
  readonly clocks: ReadonlyMap<PublicKey, AuthorClock>
  /** Updates gathered by the active snapshot. */
  readonly updates: number
  /** What was active when the document was evicted, until a snapshot restores it. */
  readonly evicted: Evicted | undefined
}

export const initial = (documentId: DocumentId): DocumentState => ({
  documentId,
  active: undefined,
  clocks: new Map(),
  updates: 0,
  evicted: undefined
})

export const evolve = (state: DocumentState, event: DocumentEvent, payloadHash: string): DocumentState => {
  switch (event._tag) {
    case "SnapshotStored": {
      const { snapshotId, ciphertextHash, parentSnapshotProof } = event
      const active = { snapshotId, ciphertextHash, parentSnapshotProof, payloadHash }
      return { documentId: state.documentId, active, clocks: new Map(), updates: 0, evicted: undefined }
    }
    case "UpdateStored": {
      const previous = state.clocks.get(event.pubKey)
      const clocks = new Map(state.clocks).set(event.pubKey, { clock: event.clock, payloadHash, previous })
      return { ...state, clocks, updates: state.updates + 1 }
    }
    case EVICTED:
      return { ...state, active: undefined, clocks: new Map(), updates: 0, evicted: event }
    case PRUNED:
      return state
  }
}

/** The state after a stream's events, or after its newest checkpoint and what follows. */
export const fold = (documentId: DocumentId, events: Iterable<StreamEvent>): DocumentState => {
  let state = initial(documentId)
  for (const event of events) state = evolve(state, fromStreamEvent(event), event.payloadHash)
  return state
}

export const lastClocks = (clocks: DocumentState["clocks"]): Record<PublicKey, number> =>
  Object.fromEntries(Array.from(clocks, ([key, author]) => [key, author.clock]))

// -------------------------------------------------------------------------------------------------------- commands

export interface StoreSnapshot {
  readonly _tag: "StoreSnapshot"
  readonly documentId: string
  readonly snapshotId: SnapshotId
  readonly parentSnapshotId: SnapshotId | ""
  readonly parentSnapshotProof: Hash
  readonly parentSnapshotUpdateClocks: ReadonlyMap<PublicKey, number>
  readonly pubKey: PublicKey
  readonly ciphertextHash: Hash
  readonly payloadHash: Hash
  /** Whether the log holds a snapshot of this id already: the state remembers only the latest. */
  readonly used: boolean
  /** Its author was sent everything: to restore an evicted document without some of it is too early. Default: false. */
  readonly sentEverything?: boolean
}

export interface StoreUpdate {
  readonly _tag: "StoreUpdate"
  readonly documentId: string
  readonly refSnapshotId: SnapshotId
  readonly pubKey: PublicKey
  readonly clock: number
  readonly payloadHash: Hash
  /** Updates after which a snapshot is asked for instead; Infinity to never ask. */
  readonly snapshotDueAfter: number
}

export interface Evict {
  readonly _tag: "Evict"
}

export type DocumentCommand = StoreSnapshot | StoreUpdate | Evict

/** Why a command yields no event. */
export type DocumentRefusal =
  /** Stored before, byte for byte: the author lost the acknowledgement. */
  | { readonly _tag: "AlreadyStored" }
  /** The message names another document than the one it was sent to. */
  | { readonly _tag: "WrongDocument" }
  /** The parent is not the active snapshot. */
  | { readonly _tag: "SnapshotOutdated" }
  /** The parent is the active snapshot, but not with all its updates. */
  | { readonly _tag: "SnapshotMissesUpdates" }
  /** The parent proof is not the one that the parent yields. */
  | { readonly _tag: "SnapshotProofInvalid" }
  | { readonly _tag: "SnapshotIdUsed" }
  /** The update belongs to a snapshot that is not active any more. */
  | { readonly _tag: "UpdateOutdated" }
  /** A gap in the author's clock. */
  | { readonly _tag: "ClockAhead"; readonly expected: number }
  /** Another update of the same author already has this clock: the author's own count went wrong. */
  | { readonly _tag: "ClockTaken"; readonly expected: number }
  /** No snapshot is active: the document was evicted, or never began. */
  | { readonly _tag: "NoSnapshot" }
  /** The active snapshot has gathered enough updates. */
  | { readonly _tag: "SnapshotDue" }
  | { readonly _tag: "NothingToEvict" }

export const decide = (
  state: DocumentState,
  command: DocumentCommand
): Result.Result<DocumentEvent, DocumentRefusal> => {
  switch (command._tag) {
    case "StoreSnapshot":
      return decideSnapshot(state, command)
    case "StoreUpdate":
      return decideUpdate(state, command)
    case "Evict":
      return state.active === undefined
        ? refuse({ _tag: "NothingToEvict" })
        : Result.succeed({
            _tag: EVICTED,
            snapshot: proofOf(state.active),
            clocks: lastClocks(state.clocks)
          })
  }
}

const decideSnapshot = (
  state: DocumentState,
  command: StoreSnapshot
): Result.Result<SnapshotStored, DocumentRefusal> => {
  if (command.documentId !== state.documentId) return refuse({ _tag: "WrongDocument" })
  if (state.active?.snapshotId === command.snapshotId && state.active.payloadHash === command.payloadHash) {
    return refuse({ _tag: "AlreadyStored" })
  }
  const parent = state.active ?? restorable(state, command)
  if (parent !== undefined && command.parentSnapshotId !== parent.snapshotId)
    return refuse({ _tag: "SnapshotOutdated" })
  // The parent's id is in use, whether or not this log ever held that parent.
  if (command.used || command.snapshotId === command.parentSnapshotId) return refuse({ _tag: "SnapshotIdUsed" })
  if (state.active !== undefined && !sameClocks(state.clocks, command.parentSnapshotUpdateClocks)) {
    return refuse({ _tag: "SnapshotMissesUpdates" })
  }
  // Who wrote what is missing could not go on from such a snapshot; its author has it by the next try.
  if (parent !== undefined && restoresTooEarly(state, command)) return refuse({ _tag: "SnapshotMissesUpdates" })
  // An empty server cannot check the proof of a parent it never saw: the log begins with what a client still has.
  const begins = state.active === undefined && state.evicted === undefined
  if (!(begins && command.parentSnapshotId !== "") && command.parentSnapshotProof !== nextProof(parent)) {
    return refuse({ _tag: "SnapshotProofInvalid" })
  }
  return Result.succeed({
    _tag: "SnapshotStored",
    snapshotId: command.snapshotId,
    ciphertextHash: command.ciphertextHash,
    parentSnapshotProof: command.parentSnapshotProof,
    parentSnapshotId: command.parentSnapshotId,
    parentSnapshotUpdateClocks: Object.fromEntries(command.parentSnapshotUpdateClocks),
    pubKey: command.pubKey
  })
}

const decideUpdate = (state: DocumentState, command: StoreUpdate): Result.Result<UpdateStored, DocumentRefusal> => {
  if (command.documentId !== state.documentId) return refuse({ _tag: "WrongDocument" })
  if (state.active === undefined) return refuse({ _tag: "NoSnapshot" })
  if (command.refSnapshotId !== state.active.snapshotId) return refuse({ _tag: "UpdateOutdated" })
  const author = state.clocks.get(command.pubKey)
  const expected = author === undefined ? 0 : author.clock + 1
  if (command.clock < expected) {
    return refuse(isRepeat(author, command) ? { _tag: "AlreadyStored" } : { _tag: "ClockTaken", expected })
  }
  if (command.clock > expected) return refuse({ _tag: "ClockAhead", expected })
  const isCrowded = author === undefined && state.clocks.size >= MAX_AUTHORS
  if (isCrowded || state.updates >= command.snapshotDueAfter) return refuse({ _tag: "SnapshotDue" })
  return Result.succeed({
    _tag: "UpdateStored",
    refSnapshotId: command.refSnapshotId,
    pubKey: command.pubKey,
    clock: command.clock
  })
}

/**
 * Authors that may write to one snapshot: keys cost a client nothing, and every update copies the map of them. The next
 * author is asked for a snapshot, with which the count begins anew.
 */
const MAX_AUTHORS = 1000

const refuse = (refusal: DocumentRefusal): Result.Result<never, DocumentRefusal> => Result.fail(refusal)

/** The evicted snapshot, when this command means to continue it; a snapshot without a parent begins anew. */
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

const sameClocks = (clocks: DocumentState["clocks"], claimed: ReadonlyMap<PublicKey, number>): boolean =>
  clocks.size === claimed.size && Array.from(clocks).every(([key, author]) => claimed.get(key) === author.clock)

const proofOf = ({ snapshotId, ciphertextHash, parentSnapshotProof }: SnapshotProof): SnapshotProof => ({
  snapshotId,
  ciphertextHash,
  parentSnapshotProof
})

// ---------------------------------------------------------------------------------------------------------- proofs

/**
 * The `parentSnapshotProof` that a child of `parent` must carry; without a parent, the one of a first snapshot.
 * It binds the parent's id, its ciphertext and, through its own proof, all that came before.
 */
export const nextProof = (parent: SnapshotProof | undefined): Hash =>
  blake2b256(
    canonicalJson({
      grandParentSnapshotProof: parent?.parentSnapshotProof ?? "",
      parentSnapshotId: parent?.snapshotId ?? "",
      parentSnapshotCiphertextHash: parent?.ciphertextHash ?? ""
    })
  )

/** A snapshot as the log remembers it, also when its payload is gone. */
export interface Ancestor extends SnapshotProof {
  readonly parentSnapshotId: SnapshotId | ""
}

/**
 * The snapshots by which a client that knows `known` can verify the last of `ancestors` (every snapshot stored after
 * `known`, oldest first). Empty when the line is broken: a document begun anew after an eviction does not descend
 * from what was evicted.
 */
export const proofChain = (known: SnapshotId, ancestors: ReadonlyArray<Ancestor>): ReadonlyArray<SnapshotProof> => {
  const unbroken = ancestors.every(
    (snapshot, i) => snapshot.parentSnapshotId === (i === 0 ? known : ancestors[i - 1]?.snapshotId)
  )
  return unbroken ? ancestors.map(proofOf) : []
}

/** Whether clocks known to a client cover every update of a snapshot. */
export const covers = (known: ReadonlyMap<string, number>, clocks: Readonly<Record<string, number>>): boolean =>
  Object.entries(clocks).every(([key, clock]) => (known.get(key) ?? -1) >= clock)
