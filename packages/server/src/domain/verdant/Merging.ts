/**
 * The compaction of a large library: in slices, of which each merges the operations of some entities. A slice takes a bounded
 * time to decide, to write and to apply, however large the library is. Its event names the entities and how many of their
 * oldest operations are merged; the baselines follow from the state.
 */
import { HashMap, Option } from "effect"
import type { LongWork } from "../LongWork.ts"
import { isLongMerge, lengthOfMerge, merge, mergeInSteps, type Portion, slice } from "./Compaction.ts"
import { withSize } from "./EntityBounds.ts"
import { mergedReferences } from "./FileReferences.ts"
import { type Mergeable, type MergeOptions, mergeableIn } from "./Mergeable.ts"
import { emptyItemsLength, encodeMerged, type Merged } from "./model/PayloadCodec.ts"
import type { StoredBaseline, StoredOperation } from "./model/StoredItems.ts"
import { type Entity, entityOf, type LibraryState } from "./State.ts"
import { allBatches, withoutMerged } from "./UnfoldedBatches.ts"

/** A library with at most so much content is compacted by events that hold all of it, which takes a few milliseconds. */
const MAX_WHOLE_BYTES = 256 * 1024
/** Bytes of a replica, and of a file with its references, roughly. */
const [REPLICA_BYTES, FILE_BYTES] = [256, 512] as const

/** Whether one event can hold the whole library without holding up others. */
export const fitsOneEvent = ({ bytes, files, formerFiles, formerReplicas, replicas }: LibraryState): boolean =>
  bytes + (replicas.size + formerReplicas.size) * REPLICA_BYTES + (files.size + formerFiles.size) * FILE_BYTES <=
  MAX_WHOLE_BYTES

/** Operations of one entity that a slice looks at. */
const MAX_OPERATIONS = 20_000

export interface MergeSlice {
  readonly payload: Uint8Array
  readonly objects: number
  readonly operations: number
}

/** A slice that merges operations of these entities; undefined: nothing can be merged. */
export const mergeSlice = (
  state: LibraryState,
  { oids, portion, ...options }: MergeOptions & { readonly oids: Iterable<string>; readonly portion: Portion }
): MergeSlice | undefined => {
  const mergeable = mergeableIn(state, options)
  if (mergeable === undefined) return undefined
  const merged: Array<Merged> = []
  let operations = 0
  for (const oid of new Set(oids)) {
    const entity = entityOf(state, oid)
    const most = entity === undefined ? 0 : mergeable(entity, MAX_OPERATIONS)
    if (entity === undefined || most === 0) continue
    const count = portion(entity, entity.operations.slice(0, most))
    if (count === 0) break
    operations += count
    merged.push([oid, count])
  }
  return operations === 0 ? undefined : { payload: encodeMerged(merged), objects: merged.length, operations }
}

/**
 * The entities with operations, in the order in which those were stored: so a slice takes operations out of few batches. An
 * entity comes with its oldest operation; undefined stands for an operation that is another one.
 */
export const oldestFirst = function* ({ batches, entities }: LibraryState): Generator<Entity | undefined> {
  for (const { operations } of allBatches(batches)) {
    for (const operation of operations) {
      const entity = Option.getOrUndefined(HashMap.get(entities, operation.oid))
      yield entity?.operations[0] === operation ? entity : undefined
    }
  }
}

/** Entities that a slice considers, and operations among which it looks for them. */
const [MAX_ENTITIES, MAX_LOOKED_AT] = [500, 2000] as const

/** The ids of the next entities with something to merge. `done`: there are no others. */
export const nextMergeable = (
  entities: Iterator<Entity | undefined>,
  mergeable: Mergeable
): { readonly oids: ReadonlyArray<string>; readonly done: boolean } => {
  const oids: Array<string> = []
  for (let looked = 0; looked < MAX_LOOKED_AT && oids.length < MAX_ENTITIES; looked++) {
    const { done, value } = entities.next()
    if (done === true) return { oids, done }
    if (value !== undefined && mergeable(value, 1) > 0) oids.push(value.operations[0]!.oid)
  }
  return { oids, done: false }
}

/** The long merges of a slice, after which `withMerged` takes no time for them; undefined: none is long. */
export const longMerges = (state: LibraryState, portions: ReadonlyArray<Merged>): LongWork | undefined => {
  const long = portions.flatMap(([oid, count]) => {
    const entity = entityOf(state, oid)
    const operations = entity?.operations.slice(0, count) ?? []
    return isLongMerge(entity?.baseline, operations) ? [{ baseline: entity?.baseline, operations }] : []
  })
  if (long.length === 0) return undefined
  return {
    length: Math.max(...long.map(({ baseline, operations }) => lengthOfMerge(baseline, operations))),
    steps: function* () {
      for (const { baseline, operations } of long) yield* mergeInSteps(baseline, operations)
    }
  }
}

/** The same for the slice that `mergeSlice` begins with these entities. A long entity is the only long one of its slice. */
export const longMergesOfSlice = (
  state: LibraryState,
  mergeable: Mergeable,
  oids: ReadonlyArray<string>
): LongWork | undefined => {
  const [oid] = oids
  const entity = oid === undefined ? undefined : entityOf(state, oid)
  if (oid === undefined || entity === undefined || !isLongMerge(entity.baseline, entity.operations)) return undefined
  const count = slice()(entity, entity.operations.slice(0, mergeable(entity, MAX_OPERATIONS)))
  return longMerges(state, [[oid, count]])
}

/** The state after a slice. Throws when an entity has fewer operations than the slice merges. */
export const withMerged = (state: LibraryState, portions: ReadonlyArray<Merged>): LibraryState => {
  const merged: Array<StoredOperation> = []
  const [replaced, baselines]: [Array<StoredBaseline>, Array<StoredBaseline>] = [[], []]
  const entities = HashMap.mutate(state.entities, (entities) => {
    for (const [oid, count] of portions) {
      const entity = Option.getOrUndefined(HashMap.get(entities, oid))
      if (entity === undefined || entity.operations.length < count) {
        throw new Error(`${oid} has fewer operations than were merged`)
      }
      const first = entity.operations.slice(0, count)
      const operations = entity.operations.slice(count)
      const baseline = merge(entity.baseline, first)
      for (const operation of first) merged.push(operation)
      if (entity.baseline !== undefined) replaced.push(entity.baseline)
      if (baseline !== undefined) baselines.push(baseline)
      if (baseline === undefined && operations.length === 0) HashMap.remove(entities, oid)
      else HashMap.set(entities, oid, sized(entity, { baseline, operations }))
    }
  })
  const { batches, emptied } = withoutMerged(state.batches, merged)
  const removed = emptied * emptyItemsLength + bytesOf(merged) + bytesOf(replaced)
  return {
    ...state,
    entities,
    batches,
    fileReferences: mergedReferences(state.fileReferences, { baselines, merged: [...merged, ...replaced] }),
    operations: state.operations - merged.length,
    baselines: state.baselines - replaced.length + baselines.length,
    bytes: Math.max(state.bytes - removed, 0) + bytesOf(baselines),
    foldedUpTo: merged.reduce((last, { version }) => Math.max(last, version), state.foldedUpTo)
  }
}

/** Operations of one entity whose size is estimated again after each slice. With more, the estimate of before stays. */
const MAX_ESTIMATED = 20_000

const sized = (before: Entity, after: Entity): Entity => {
  const { operations } = after
  if (operations.length === 0) return after
  const isLong = operations.length > MAX_ESTIMATED && before.size !== undefined
  return isLong ? { ...after, size: before.size } : withSize(undefined, after, operations)
}

/** Bytes of items in a payload, with their commas. */
const bytesOf = (items: ReadonlyArray<{ readonly text: string }>): number =>
  items.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 1, 0)
