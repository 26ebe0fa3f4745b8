/** The commands of a Secsync document, and the reasons to refuse them. */
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
  /** Absent: not known. */
  readonly payloadBytes?: number
  /** True if the log holds a snapshot with this id. The state remembers only the active one. */
  readonly used: boolean
  /** True if the log holds no snapshot with the parent's id. Default: false. */
  readonly parentIsUnknown?: boolean
  /** The sender named updates of the active snapshot that a restored log has lost: its clocks may go beyond the log's. */
  readonly knowsMore?: boolean
  /** The author was sent every update: to restore an evicted document without some of them is too early. Default: false. */
  readonly sentEverything?: boolean
}

export interface StoreUpdate {
  readonly _tag: "StoreUpdate"
  readonly documentId: string
  readonly refSnapshotId: SnapshotId
  readonly pubKey: PublicKey
  readonly clock: number
  readonly payloadHash: Hash
  /** Absent: not known. */
  readonly payloadBytes?: number
  /** The number of updates after which the author must send a snapshot; Infinity: never. */
  readonly snapshotDueAfter: number
}

export interface Evict {
  readonly _tag: "Evict"
}

/** Makes an empty document, where clients cannot make one. */
export interface CreateDocument {
  readonly _tag: "CreateDocument"
}

/** Deletes the document for good. It need not exist: then no client can make it. */
export interface DeleteDocument {
  readonly _tag: "DeleteDocument"
}

/** Lets a deleted document begin again. */
export interface AllowDocument {
  readonly _tag: "AllowDocument"
}

export type DocumentCommand = StoreSnapshot | StoreUpdate | Evict | CreateDocument | DeleteDocument | AllowDocument

/** The reason why a command yields no event. */
export type DocumentRefusal =
  /** The same bytes are stored already: the author lost the acknowledgement. */
  | { readonly _tag: "AlreadyStored" }
  /** The message names another document than its connection. */
  | { readonly _tag: "WrongDocument" }
  /** The parent is not the active snapshot. */
  | { readonly _tag: "SnapshotOutdated" }
  /** The parent is the active snapshot, but not with all its updates. */
  | { readonly _tag: "SnapshotMissesUpdates" }
  /** The parent proof is not the one that follows from the parent. */
  | { readonly _tag: "SnapshotProofInvalid" }
  | { readonly _tag: "SnapshotIdUsed" }
  /** The update refers to a snapshot that is not the active one. */
  | { readonly _tag: "UpdateOutdated" }
  /** The clock leaves a gap after the author's last update. */
  | { readonly _tag: "ClockAhead"; readonly expected: number }
  /** Another update of the author has this clock already: the author's count is wrong. */
  | { readonly _tag: "ClockTaken"; readonly expected: number }
  /** No snapshot is active: the document is empty or evicted. */
  | { readonly _tag: "NoSnapshot" }
  /** The active snapshot has too many updates or authors, or too many bytes with them; a new snapshot is due. */
  | { readonly _tag: "SnapshotDue" }
  /** The snapshot is larger than the document may be, or the library has as much as its quota allows. */
  | { readonly _tag: "QuotaReached" }
  | { readonly _tag: "NothingToEvict" }
  /** The document was deleted for good. */
  | { readonly _tag: "DocumentDeleted" }
  /** Clients cannot make documents here, and nothing has made this one. */
  | { readonly _tag: "DocumentMissing" }
  | { readonly _tag: "DocumentExists" }
  /** The document is not deleted. */
  | { readonly _tag: "NothingToAllow" }
