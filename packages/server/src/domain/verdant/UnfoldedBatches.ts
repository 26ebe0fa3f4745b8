/** Operations that are not compacted yet, event by event. A new batch is added without copying the older ones. */
import type { ReplicaId } from "./Events.ts"
import type { StoredBaseline, StoredOperation } from "./model/StoredItems.ts"

/** Operations of one event that are not compacted yet. */
export interface Batch {
  readonly version: number
  readonly replicaId: ReplicaId
  readonly operations: ReadonlyArray<StoredOperation>
  /** Baselines that a client restored: for replicas that joined before it. */
  readonly baselines: ReadonlyArray<StoredBaseline>
}

/** A list, newest first; undefined: empty. */
export type UnfoldedBatches = { readonly newest: Batch; readonly older: UnfoldedBatches } | undefined

export const newestFirst = function* (batches: UnfoldedBatches): Generator<Batch> {
  for (let rest = batches; rest !== undefined; rest = rest.older) yield rest.newest
}

export const batchOf = (batches: UnfoldedBatches, version: number): Batch | undefined => {
  for (const batch of newestFirst(batches))
    if (batch.version <= version) return batch.version === version ? batch : undefined
  return undefined
}

/** `batches`: in the order of their versions. */
export const fromBatches = (batches: Iterable<Batch>): UnfoldedBatches => {
  let all: UnfoldedBatches
  for (const newest of batches) all = { newest, older: all }
  return all
}
