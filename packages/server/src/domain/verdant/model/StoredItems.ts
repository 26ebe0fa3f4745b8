/** Operations and baselines as a library holds them, and whose they are. */

import type { ReplicaId } from "../Events.ts"
import { type Authz, subjectOf } from "./Authz.ts"
import type { Operation } from "./Operation.ts"

interface Owned {
  /** Who alone may see it; null: everybody. */
  readonly owner: string | null
}

export type OwnedOperation = Operation & Owned

export interface StoredOperation extends OwnedOperation {
  readonly version: number
  readonly replicaId: ReplicaId
}

/** A baseline's text holds its snapshot: there are as many as a library has objects, and most are only ever sent. */
export interface StoredBaseline extends Owned {
  readonly oid: string
  readonly timestamp: string
  readonly text: string
}

export const ownerOf = (authz: Authz | undefined): string | null => (authz === undefined ? null : subjectOf(authz))

/** What belongs to one user is sent to nobody else. */
export const isVisibleTo = ({ owner }: Owned, userId: string): boolean => owner === null || owner === userId

/** From the oldest on: for sorting. */
export const byTimestamp = (a: { readonly timestamp: string }, b: { readonly timestamp: string }): number =>
  a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0
