/** Operations and baselines as they are stored and sent: the JSON text that a client made, and what is needed of it. */
import type { ReplicaId } from "./Events.ts"

/** An operation, decoded once. */
export interface Operation {
  readonly oid: string
  /** Unique: it holds the id of its author's clock. */
  readonly timestamp: string
  /** Who alone may see it; null: everybody. */
  readonly owner: string | null
  /** Whether it says what the entity is, whatever it was before. */
  readonly isInitialize: boolean
  /** `{"oid","timestamp","data","authz"?}` */
  readonly text: string
}

/** An entity as it was at some time. */
export interface Baseline {
  readonly oid: string
  readonly timestamp: string
  readonly owner: string | null
  /** `{"oid","snapshot","timestamp","authz"?}` */
  readonly text: string
}

export interface StoredOperation extends Operation {
  readonly version: number
  readonly replicaId: ReplicaId
}

/** What belongs to one user is sent to nobody else. */
export const isVisibleTo = ({ owner }: { readonly owner: string | null }, userId: string): boolean =>
  owner === null || owner === userId
