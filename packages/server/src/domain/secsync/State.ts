/** The state of a Secsync document, folded from its events. */
import { HashMap, Option } from "effect"
import type { DocumentId, PublicKey } from "../Ids.ts"
import { ALLOWED_AGAIN, DELETED, EVICTED, PRUNED, type StreamEvent } from "../Stream.ts"
import { type DocumentEvent, type Evicted, fromStreamEvent, type SnapshotProof } from "./Events.ts"

/** An author's updates to the active snapshot, newest first. They tell a repeated update from another with its clock. */
export interface AuthorClock {
  readonly clock: number
  readonly payloadHash: string
  readonly previous: AuthorClock | undefined
}

export interface DocumentState {
  readonly documentId: DocumentId
  readonly active: (SnapshotProof & { readonly payloadHash: string }) | undefined
  /** Persistent: an update costs the same whatever the number of authors (docs/decisions/0064-clocks-that-share-their-past.md). */
  readonly clocks: HashMap.HashMap<PublicKey, AuthorClock>
  /** The number of updates to the active snapshot. */
  readonly updates: number
  /** Bytes of the active snapshot and its updates, as far as their events say it. */
  readonly bytes: number
  /** The event of the eviction, until a snapshot restores the document. */
  readonly evicted: Evicted | undefined
  /** When the last event was written, milliseconds since 1970; 0: not known, or the document is new. */
  readonly writtenAt: number
  /** The document exists, even if it holds nothing. */
  readonly isCreated: boolean
  /** The document was deleted for good. */
  readonly isDeleted: boolean
}

export const initial = (documentId: DocumentId): DocumentState => ({
  documentId,
  active: undefined,
  clocks: HashMap.empty(),
  updates: 0,
  bytes: 0,
  evicted: undefined,
  writtenAt: 0,
  isCreated: false,
  isDeleted: false
})

/** `writtenAt`: when the event was written, milliseconds since 1970. Default: not known. */
export const evolve = (
  state: DocumentState,
  event: DocumentEvent,
  payloadHash: string,
  writtenAt = 0
): DocumentState => {
  switch (event._tag) {
    case "SnapshotStored": {
      const { snapshotId, ciphertextHash, parentSnapshotProof } = event
      const active = { snapshotId, ciphertextHash, parentSnapshotProof, payloadHash }
      const bytes = event.payloadBytes ?? 0
      return { ...initial(state.documentId), active, bytes, writtenAt, isCreated: true }
    }
    case "UpdateStored": {
      const previous = authorClock(state, event.pubKey)
      const clocks = HashMap.set(state.clocks, event.pubKey, { clock: event.clock, payloadHash, previous })
      return { ...state, clocks, writtenAt, updates: state.updates + 1, bytes: state.bytes + (event.payloadBytes ?? 0) }
    }
    case EVICTED:
      return { ...initial(state.documentId), evicted: event, writtenAt, isCreated: true }
    case "DocumentCreated":
      return { ...state, writtenAt, isCreated: true }
    case DELETED:
      return { ...initial(state.documentId), writtenAt, isDeleted: true }
    case ALLOWED_AGAIN:
      return initial(state.documentId)
    case PRUNED:
      return state
  }
}

/** Folds a stream's events, or its tail, into the state after them. */
export const fold = (documentId: DocumentId, events: Iterable<StreamEvent>): DocumentState => {
  let state = initial(documentId)
  for (const event of events) state = evolve(state, fromStreamEvent(event), event.payloadHash, event.recordedAt)
  return state
}

/** An author's last update to the active snapshot; undefined: the author has none. */
export const authorClock = ({ clocks }: Pick<DocumentState, "clocks">, pubKey: PublicKey): AuthorClock | undefined =>
  Option.getOrUndefined(HashMap.get(clocks, pubKey))

/** Each author's last clock. */
export const lastClocks = (clocks: DocumentState["clocks"]): Record<PublicKey, number> =>
  Object.fromEntries(Array.from(clocks, ([key, author]) => [key, author.clock]))
