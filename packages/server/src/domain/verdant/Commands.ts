/** The commands that clients, the server and operators give a library, and the reasons for which it refuses them. */
import type { DocumentChange } from "./DocumentChange.ts"
import type { FileStored, ReplicaId } from "./Events.ts"
import type { Oid } from "./model/Oid.ts"
import type { OwnedOperation, StoredBaseline } from "./model/StoredItems.ts"

export interface Author {
  readonly replicaId: ReplicaId
  readonly userId: string
  /** Verdant's number; see `Replica`. */
  readonly type: number
  /** The claim `role` of its token, for the app. The rules do not look at it. */
  readonly role?: string
}

export interface Sync extends Author {
  readonly _tag: "Sync"
  /** The client's time. */
  readonly timestamp: string
  /** The client's last sync; null: it sends everything that it has. */
  readonly since: string | null
  /** The client's time when it synced before; undefined: not known. */
  readonly askedBefore?: string | undefined
  /** The replica never had anything from a server. */
  readonly resyncAll: boolean
  /** The client sends requests, possibly several at a time, and has no connection that stays. */
  readonly isPolling: boolean
  readonly operations: ReadonlyArray<OwnedOperation>
  readonly baselines: ReadonlyArray<StoredBaseline>
}

export interface StoreOperations extends Author {
  readonly _tag: "StoreOperations"
  readonly operations: ReadonlyArray<OwnedOperation>
}

/** The server's own change of a document, for the app. */
export interface ChangeDocument {
  readonly _tag: "ChangeDocument"
  readonly root: Oid
  /** null: deletes the document. */
  readonly change: DocumentChange | null
}

/** Records what this process knows of its replicas. */
export interface AdvanceCursors {
  readonly _tag: "AdvanceCursors"
}

/**
 * Merges operations that every replica has into baselines: as many as may take a slice of work. Its event holds the whole
 * library, so it is for small ones.
 */
export interface Compact {
  readonly _tag: "Compact"
  /** Only operations that are older than this timestamp. */
  readonly upTo?: string
}

/** The same for some objects of a large library: its event only names what was merged. */
export interface Merge {
  readonly _tag: "Merge"
  /** Only operations that are older than this timestamp. */
  readonly upTo?: string
  readonly oids: ReadonlyArray<string>
}

export interface BeginCheckpoint {
  readonly _tag: "BeginCheckpoint"
}

/** Writes the next part of a checkpoint, which was made of the library at version `of`. */
export interface WriteCheckpointPart {
  readonly _tag: "WriteCheckpointPart"
  readonly of: number
  readonly part: number
  readonly payload: Uint8Array
}

/** Ends a checkpoint that has all its parts. */
export interface EndCheckpoint {
  readonly _tag: "EndCheckpoint"
  readonly of: number
  readonly parts: number
}

/** Purges some of the payloads that are not needed any more since the last checkpoint in parts. */
export interface PurgePayloads {
  readonly _tag: "PurgePayloads"
}

/** A step of verification: a server forgets a replica because of its own late operations, or to make room for another one. */
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
  /** How long a file without references is kept, in milliseconds. */
  readonly keep: number
}

/** Changes nothing: makes the room read what other processes wrote. */
export interface Look {
  readonly _tag: "Look"
}

export interface EvictLibrary {
  readonly _tag: "EvictLibrary"
}

/** Deletes the library for good. It need not exist: then no client can make it. */
export interface DeleteLibrary {
  readonly _tag: "DeleteLibrary"
}

/** Lets a deleted library begin again. */
export interface AllowLibrary {
  readonly _tag: "AllowLibrary"
}

export type LibraryCommand =
  | Sync
  | StoreOperations
  | ChangeDocument
  | AdvanceCursors
  | Compact
  | Merge
  | BeginCheckpoint
  | WriteCheckpointPart
  | EndCheckpoint
  | PurgePayloads
  | ForgetReplica
  | MakeTruant
  | StoreFile
  | SweepFiles
  | Look
  | EvictLibrary
  | DeleteLibrary
  | AllowLibrary

export type LibraryRefusal =
  /** The replica belongs to another user. */
  | { readonly _tag: "AnothersReplica" }
  /** The file was uploaded by another user. */
  | { readonly _tag: "AnothersFile" }
  /** The schema version of the sync's time is far above that of the library's content. */
  | { readonly _tag: "ImplausibleVersion" }
  /** The client sent nothing new, and is only answered. */
  | { readonly _tag: "NothingNew" }
  /** Another replica is restoring the library. */
  | { readonly _tag: "AwaitRestore" }
  /** The replica was asked to restore the library before, and did not. */
  | { readonly _tag: "RestoreAsked" }
  /** This replica is already being reset; a second reset would discard what it wrote in between. */
  | { readonly _tag: "AlreadyBeingReset" }
  /** The operations come too late, and their author is being reset: its client discards them as well, or sends them again. */
  | { readonly _tag: "TooLate" }
  /** The replica sent operations before its first sync. */
  | { readonly _tag: "NotJoined" }
  /** The library has no room for another replica or file, or for all that a client brings to an empty library. */
  | { readonly _tag: "QuotaReached" }
  /** No client has written to the library yet, or it was evicted and no client has restored it. */
  | { readonly _tag: "LibraryEmpty" }
  /** An object has no room for what the server writes, or an operation would be too large. */
  | { readonly _tag: "TooLarge" }
  /** The library holds a time that is so far ahead of the server's that clients would not take a later one. */
  | { readonly _tag: "ClockBehind" }
  | { readonly _tag: "NothingToDo" }
  /** The library was deleted for good. */
  | { readonly _tag: "LibraryDeleted" }
