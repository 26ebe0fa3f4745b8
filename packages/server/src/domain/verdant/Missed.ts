/** The part of a library that a replica lacks and may see. */
import type { ReplicaId } from "./Events.ts"
import { byTimestamp, isVisibleTo, type StoredBaseline, type StoredOperation } from "./model/StoredItems.ts"
import type { LibraryState, Replica } from "./State.ts"
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

/** The operations that a replica misses, in the order of their timestamps. */
export const missed = (state: LibraryState, replica: Replica, received: number) =>
  [...missedBy(state, replica, received)].sort(byTimestamp)
