/** Operations that are not folded yet, event by event. One more is added without copying those before. */
import type { ReplicaId } from "./Events.ts"
import type { StoredBaseline, StoredOperation } from "./model/StoredItems.ts"

/** Operations of one event that are not folded yet. */
export interface Batch {
  readonly version: number
  readonly replicaId: ReplicaId
  readonly operations: ReadonlyArray<StoredOperation>
  /** Of a client that brought a library's history: for replicas that were here before it. */
  readonly baselines: ReadonlyArray<StoredBaseline>
}

/** In order of their versions; undefined: none. */
export type UnfoldedBatches = { readonly newest: Batch; readonly older: UnfoldedBatches } | undefined

export const newestFirst = function* (batches: UnfoldedBatches): Generator<Batch> {
  for (let rest = batches; rest !== undefined; rest = rest.older) yield rest.newest
}

export const batchOf = (batches: UnfoldedBatches, version: number): Batch | undefined => {
  for (const batch of newestFirst(batches))
    if (batch.version <= version) return batch.version === version ? batch : undefined
  return undefined
}

/** From batches in order of their versions. */
export const fromBatches = (batches: Iterable<Batch>): UnfoldedBatches => {
  let all: UnfoldedBatches
  for (const newest of batches) all = { newest, older: all }
  return all
}
