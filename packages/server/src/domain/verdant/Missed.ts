/** The part of a library that a replica lacks and may see. */
import { STEP_ITEMS, type Steps, sorted } from "../Steps.ts"
import type { ReplicaId } from "./Events.ts"
import { byTimestamp, isVisibleTo, type StoredBaseline, type StoredOperation } from "./model/StoredItems.ts"
import { entityOf, firstFrom, type LibraryState, type Replica } from "./State.ts"
import { newestFirst } from "./UnfoldedBatches.ts"

/** Operations after a version that other replicas wrote and this one may see. */
export const missedBy = (
  state: LibraryState,
  replica: { readonly id: ReplicaId; readonly userId: string },
  received: number
): ReadonlyArray<StoredOperation> => {
  const missed: Array<StoredOperation> = []
  for (const batch of newestFirst(state.batches)) {
    if (batch.version <= received) break
    if (batch.replicaId === replica.id) continue
    for (const operation of batch.operations) if (isVisibleTo(operation, replica.userId)) missed.push(operation)
  }
  return missed
}

/** Baselines that other replicas restored after a version and this one may see. */
export const missedBaselines = (
  state: LibraryState,
  replica: { readonly id: ReplicaId; readonly userId: string },
  received: number
): ReadonlyArray<StoredBaseline> => {
  if (state.batches.restored.length === 0) return []
  const missed: Array<ReadonlyArray<StoredBaseline>> = []
  for (const batch of newestFirst(state.batches)) {
    if (batch.version <= received) break
    if (batch.replicaId === replica.id) continue
    missed.push(batch.baselines.filter((baseline) => isVisibleTo(baseline, replica.userId)))
  }
  return missed.reverse().flat()
}

/** Whether a replica that has everything up to a version misses nothing that came later. */
export const isUpToDate = (
  state: LibraryState,
  replica: { readonly id: ReplicaId; readonly userId: string },
  received: number | null
): boolean =>
  received !== null &&
  received >= state.foldedUpTo &&
  missedBy(state, replica, received).length === 0 &&
  // Each operation asks this, and few libraries have restored baselines that someone lacks.
  (state.batches.restored.length === 0 || missedBaselines(state, replica, received).length === 0)

/**
 * The operations that a replica is sent, in the order of their timestamps: those that it misses, and newer ones of the same
 * entities that it may have compacted.
 *
 * It may be known to have less than it has: its acknowledgement was lost, or the process that knew it ended. A client that
 * has compacted an entity's deletion holds nothing of the entity, so an older operation that it is sent again would revive
 * that. A baseline that it is sent again would even replace a newer one. The server still holds the newer operations, because
 * it merges an operation only once every replica has the older ones.
 */
export const missed = function* (
  state: LibraryState,
  replica: Replica,
  received: number
): Steps<ReadonlyArray<StoredOperation>> {
  const { watermark } = state
  const sent = new Set<StoredOperation>()
  const oldest = new Map<string, string>()
  let looked = 0
  for (const batch of newestFirst(state.batches)) {
    if (batch.version <= received) break
    if (++looked % STEP_ITEMS === 0) yield
    if (batch.replicaId === replica.id) continue
    for (const operation of batch.operations) {
      if (++looked % STEP_ITEMS === 0) yield
      if (!isVisibleTo(operation, replica.userId)) continue
      sent.add(operation)
      const { oid, timestamp } = operation
      if (watermark !== null && timestamp < (oldest.get(oid) ?? watermark)) oldest.set(oid, timestamp)
    }
  }
  if (watermark === null) return yield* sorted(Array.from(sent), byTimestamp)
  for (const { oid } of missedBaselines(state, replica, received)) oldest.set(oid, "")
  for (const [oid, timestamp] of oldest) {
    const operations = entityOf(state, oid)?.operations ?? []
    for (let i = firstFrom(operations, timestamp); i < operations.length; i++) {
      if (++looked % STEP_ITEMS === 0) yield
      const operation = operations[i]!
      if (operation.timestamp >= watermark) break
      if (isVisibleTo(operation, replica.userId)) sent.add(operation)
    }
  }
  return yield* sorted(Array.from(sent), byTimestamp)
}
