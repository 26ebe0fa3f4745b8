/** The commands that a Secsync document is asked to decide, and the refusals that it answers with. */
import type { Hash, PublicKey, SnapshotId } from "../Ids.ts"

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
