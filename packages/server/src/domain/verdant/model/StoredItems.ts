/** Operations and baselines as a library holds them, with the user to whom they are private. */
import type { FileId } from "../../Ids.ts"
import type { ReplicaId } from "../Events.ts"
import { type Authz, subjectOf } from "./Authz.ts"
import type { ListSize } from "./EntitySize.ts"
import type { Operation } from "./Operation.ts"

interface Owned {
  /** The only user who may see the item; null: all users may. */
  readonly owner: string | null
}

export type OwnedOperation = Operation & Owned

export interface StoredOperation extends OwnedOperation {
  readonly version: number
  readonly replicaId: ReplicaId
}

/** Holds the snapshot only as text: a library has one per object, and most are only sent. */
export interface StoredBaseline extends Owned {
  readonly oid: string
  readonly timestamp: string
  readonly text: string
  /** The files that it refers to. */
  readonly files: ReadonlyArray<FileId>
  /** Absent: the entity is no list. */
  readonly list?: ListSize
}

/** The user to whom an item with this access field is private. */
export const ownerOf = (authz: Authz | undefined): string | null => (authz === undefined ? null : subjectOf(authz))

/** Whether a user may be sent an item. */
export const isVisibleTo = ({ owner }: Owned, userId: string): boolean => owner === null || owner === userId

/** Compares for sorting, oldest first. */
export const byTimestamp = (a: { readonly timestamp: string }, b: { readonly timestamp: string }): number =>
  a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0
