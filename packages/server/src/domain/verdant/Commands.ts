/** What a client, the server or an operator wants of a library, and why it may yield no event. */
import type { Cursor, FileStored, ReplicaId } from "./Events.ts"
import type { OwnedOperation, StoredBaseline } from "./model/StoredItems.ts"

/** What this process knows of its replicas beyond what the log says. */
export interface LiveCursors {
  /** null: what it was sent when it joined turned out not to have arrived. undefined: what the log says. */
  readonly received: (replicaId: ReplicaId) => number | null | undefined
  /** It was sent all there is to begin anew with, and has not said since that it put that in place of what it had. */
  readonly isUnsettled: (replicaId: ReplicaId) => boolean
  /** It was just sent something of the library that was evicted since, and may not have stored that yet. */
  readonly isStoringEvicted: (replicaId: ReplicaId, now: number) => boolean
  /** It was to begin anew, and nobody was there any more to hear the answer. */
  readonly isUnanswered: (replicaId: ReplicaId) => boolean
  /** Milliseconds since 1970. */
  readonly seen: (replicaId: ReplicaId) => number | undefined
  /** Promises that were made long enough ago to be relied on, with the rest of what is known. */
  readonly ripe: () => ReadonlyMap<ReplicaId, Cursor>
}

/** How, and as of when, a decision is made. */
export interface Circumstances {
  /** Milliseconds since 1970. */
  readonly now: number
  readonly cursors: LiveCursors
  /** A replica that was not heard of for so long, ms, holds nobody up any more. */
  readonly truancy: number
}

export interface Author {
  readonly replicaId: ReplicaId
  readonly userId: string
  /** Verdant's number. */
  readonly type: number
}

export interface Sync extends Author, Circumstances {
  readonly _tag: "Sync"
  /** The client's time. */
  readonly timestamp: string
  /** The client's last sync; null: what it brings is all it has. */
  readonly since: string | null
  /** The client's time when it asked before. Default: not known. */
  readonly askedBefore?: string | undefined
  /** It never had anything from a server. */
  readonly resyncAll: boolean
  /** By requests, which may be several at a time. */
  readonly isPolling: boolean
  readonly operations: ReadonlyArray<OwnedOperation>
  readonly baselines: ReadonlyArray<StoredBaseline>
}

export interface StoreOperations extends Author, Circumstances {
  readonly _tag: "StoreOperations"
  readonly operations: ReadonlyArray<OwnedOperation>
}

/** Writes down what this process knows of its replicas. */
export interface AdvanceCursors extends Circumstances {
  readonly _tag: "AdvanceCursors"
}

export interface Fold extends Circumstances {
  readonly _tag: "Fold"
}

export interface ForgetReplica {
  readonly _tag: "ForgetReplica"
  readonly replicaId: ReplicaId
}

export interface MakeTruant {
  readonly _tag: "MakeTruant"
  readonly replicaId: ReplicaId
}

export interface StoreFile {
  readonly _tag: "StoreFile"
  readonly file: Omit<typeof FileStored.Type, "_tag">
}

export interface SweepFiles {
  readonly _tag: "SweepFiles"
  readonly now: number
  /** How long what nothing refers to is kept, ms. */
  readonly keep: number
}

/** Changes nothing: who asks wants to know what others wrote. */
export interface Look {
  readonly _tag: "Look"
}

export interface EvictLibrary {
  readonly _tag: "EvictLibrary"
}

export type LibraryCommand =
  | Sync
  | StoreOperations
  | AdvanceCursors
  | Fold
  | ForgetReplica
  | MakeTruant
  | StoreFile
  | SweepFiles
  | Look
  | EvictLibrary

export type LibraryRefusal =
  /** The replica is another user's. */
  | { readonly _tag: "AnothersReplica" }
  /** Nothing new was brought: the answer alone is due. */
  | { readonly _tag: "NothingNew" }
  /** Somebody else is bringing the library back. */
  | { readonly _tag: "AwaitRestore" }
  /** It was asked to bring the library back already, and did not bring it. */
  | { readonly _tag: "RestoreAsked" }
  /** What was written can no longer be put in its place, or its author lacks what others have: it has to begin anew. */
  | { readonly _tag: "MustReset" }
  /** Another request of it is being answered with all there is: to begin anew twice would cost it what it wrote meanwhile. */
  | { readonly _tag: "BeginsAnew" }
  /** It was written before its author begins anew, which is under way: it will be gone there too. */
  | { readonly _tag: "TooLate" }
  /** A replica that is not known here wrote before it synced. */
  | { readonly _tag: "NotJoined" }
  | { readonly _tag: "NothingToDo" }
