/**
 * The operations that a compaction may merge: no older one of their entity can come, and every replica that will be sent
 * operations has them.
 */
import type { ReplicaId } from "./Events.ts"
import { isVisibleTo, type StoredOperation } from "./model/StoredItems.ts"
import type { Entity, LibraryState, Replica } from "./State.ts"
import { restoredBatches } from "./UnfoldedBatches.ts"

export interface MergeOptions {
  /** The replicas that it does not wait for. */
  readonly isTruant: (replica: Replica) => boolean
  /** Merges only operations that are older than this. Default: the watermark. */
  readonly upTo?: string | undefined
}

/** The number of an entity's oldest operations that may be merged, of `most` at most. */
export type Mergeable = (entity: Entity, most?: number) => number

/** undefined: nothing may be merged. */
export const mergeableIn = (state: LibraryState, { isTruant, upTo }: MergeOptions): Mergeable | undefined => {
  const { watermark } = state
  if (watermark === null) return undefined
  const end = upTo === undefined || watermark < upTo ? watermark : upTo
  const waitedFor = Array.from(state.replicas.values()).filter((replica) => !isTruant(replica))
  if (waitedFor.some((replica) => lacksHistory(state, replica))) return undefined
  const haveAll = receiversOf(waitedFor)
  return ({ operations }, most = operations.length) => {
    const limit = Math.min(most, operations.length)
    let count = 0
    while (count < limit && operations[count]!.timestamp < end && haveAll(operations[count]!)) count++
    return count
  }
}

/** Baselines that a client restored are sent as they were, so they stay until every replica has them. */
export const lacksHistory = (state: LibraryState, replica: Replica): boolean =>
  restoredBatches(state.batches).some(
    ({ baselines, replicaId, version }) =>
      version > reachOf(replica) &&
      replicaId !== replica.id &&
      baselines.some((baseline) => isVisibleTo(baseline, replica.userId))
  )

/** Whether a replica need not be sent an operation. */
export const has = (replica: Replica, operation: StoredOperation): boolean =>
  operation.replicaId === replica.id || operation.version <= reachOf(replica) || !isVisibleTo(operation, replica.userId)

/** The answer to its join may have arrived, so that counts. */
const reachOf = ({ joinedAt, received }: Replica): number => received ?? joinedAt

/** The two replicas that are least far. */
interface Last {
  id: ReplicaId
  reach: number
  next: number
}

/**
 * Whether all replicas have an operation, without asking each: only its author may be less far than the operation. So the
 * two replicas tell that are least far, of all or of the user to whom the operation is private.
 */
const receiversOf = (replicas: ReadonlyArray<Replica>): ((operation: StoredOperation) => boolean) => {
  const byUser = new Map<string | null, Last>()
  const note = (userId: string | null, id: ReplicaId, reach: number): void => {
    const last = byUser.get(userId)
    if (last === undefined) byUser.set(userId, { id, reach, next: Number.POSITIVE_INFINITY })
    else if (reach < last.reach) byUser.set(userId, { id, reach, next: last.reach })
    else if (reach < last.next) last.next = reach
  }
  for (const replica of replicas) {
    note(null, replica.id, reachOf(replica))
    note(replica.userId, replica.id, reachOf(replica))
  }
  return ({ owner, replicaId, version }) => {
    const last = byUser.get(owner)
    if (last === undefined || version <= last.reach) return true
    return last.id === replicaId && version <= last.next
  }
}
