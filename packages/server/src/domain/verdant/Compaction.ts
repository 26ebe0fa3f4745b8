/**
 * Compaction: merges operations into baselines, so that a library is as large as its content and not as its history.
 *
 * A compaction may stop before all is merged that could be. Then the next one goes on, and the result is the same. Here is
 * the one for small libraries, whose event holds the whole library. See `Merging` for large ones.
 */
import { HashMap, Result } from "effect"
import type { Steps } from "../Steps.ts"
import { storedReferences } from "./FileReferences.ts"
import { has, lacksHistory, type MergeOptions, mergeableIn } from "./Mergeable.ts"
import { type Baseline, compacted, compact as foldBaseline, readBaseline } from "./model/Baseline.ts"
import { grown } from "./model/EntitySize.ts"
import { takesMoreThan } from "./model/JsonMemory.ts"
import { encodeFolded, storedBaseline, storedInSteps } from "./model/PayloadCodec.ts"
import { byTimestamp, type OwnedOperation, type StoredBaseline, type StoredOperation } from "./model/StoredItems.ts"
import { type Entity, entityOf, type LibraryState, type Replica, sizeWithout } from "./State.ts"

export interface Compacted {
  /** The whole library. */
  readonly payload: Uint8Array
  /** Counts of what is in it. */
  readonly baselines: number
  readonly operations: number
}

/** How many of an entity's operations a compaction merges. `mergeable`: those that it may merge, the oldest first. */
export type Portion = (entity: Entity, mergeable: ReadonlyArray<StoredOperation>) => number

export const everything: Portion = (_, { length }) => length

/** The work of one slice, which other work of the process waits for: about 3 ms. See `EntitySize` for the unit. */
const SLICE_WORK = 3_000_000
/** Putting an entity's new baseline in the place of its operations. */
const WORK_PER_ENTITY = 3000
/** Decoding and encoding a character of an entity. */
const WORK_PER_MERGED_CHARACTER = 20

/** As many operations as one slice of work allows. */
export const slice = (): Portion => {
  let left = SLICE_WORK
  return (entity, mergeable) => {
    const reading = WORK_PER_ENTITY + (entity.baseline?.text.length ?? 0) * WORK_PER_MERGED_CHARACTER
    // A slice that begins with a long entity is as much work again, so that it is not read for a few operations.
    left = left === SLICE_WORK ? Math.max(left, reading) : left - reading
    let size = { ...sizeWithout(entity), work: 0 }
    let [count, length] = [0, 0]
    while (count < mergeable.length && size.work + length * WORK_PER_MERGED_CHARACTER < left) {
      const operation = mergeable[count++]!
      size = grown(size, operation)
      length += operation.text.length
    }
    left -= size.work + length * WORK_PER_MERGED_CHARACTER
    return count
  }
}

export interface CompactionOptions extends MergeOptions {
  readonly portion: Portion
}

/** The library after compaction; undefined: nothing can be merged. */
export const compact = (state: LibraryState, { portion, ...options }: CompactionOptions): Compacted | undefined => {
  const mergeable = mergeableIn(state, options)
  if (mergeable === undefined) return undefined
  const baselines: Array<StoredBaseline> = []
  const operations: Array<StoredOperation> = []
  let { foldedUpTo } = state
  for (const entity of HashMap.values(state.entities)) {
    const most = mergeable(entity)
    const merged = most === 0 ? [] : entity.operations.slice(0, portion(entity, entity.operations.slice(0, most)))
    for (const { version } of merged) foldedUpTo = Math.max(foldedUpTo, version)
    const baseline = merged.length === 0 ? entity.baseline : merge(entity.baseline, merged)
    if (baseline !== undefined) baselines.push(baseline)
    for (const operation of entity.operations.slice(merged.length)) operations.push(operation)
  }
  if (operations.length === state.operations) return undefined
  operations.sort((a, b) => a.version - b.version || byTimestamp(a, b))
  const payload = encodeFolded({
    watermark: state.watermark,
    foldedUpTo,
    replicas: Array.from(state.replicas.values()),
    ...(state.formerReplicas.size > 0 && { formerReplicas: Array.from(state.formerReplicas) }),
    files: Array.from(state.files.values()),
    ...(state.formerFiles.size > 0 && { formerFiles: Array.from(state.formerFiles) }),
    ...(HashMap.size(state.fileReferences) > 0 && { fileReferences: storedReferences(state.fileReferences) }),
    baselines,
    operations
  })
  return { payload, baselines: baselines.length, operations: operations.length }
}

/**
 * Why a state cannot be the result of a compaction; undefined: it can. A compaction merges an entity's oldest operations,
 * and the entity's value stays the same.
 */
export const compactionProblem = (before: LibraryState, after: LibraryState): string | undefined => {
  const oids = new Set([...HashMap.keys(before.entities), ...HashMap.keys(after.entities)])
  for (const oid of oids) {
    const [was, is] = [entityOf(before, oid) ?? nothing, entityOf(after, oid) ?? nothing]
    const merged = mergedOf(was, is)
    const left = was.operations.slice(merged.length)
    if (left.length !== is.operations.length || left.some(({ text }, i) => text !== is.operations[i]?.text)) {
      return `operations on ${oid} are not those that were there`
    }
    const baseline = merged.length === 0 ? was.baseline : merge(was.baseline, merged)
    if (baseline?.text !== is.baseline?.text) return `${oid} is not what its operations make of it`
  }
  return undefined
}

/** The operations that a compaction merged. */
export const portionOf =
  (after: LibraryState): Portion =>
  (entity, mergeable) => {
    const merged = mergedOf(entity, entityOf(after, mergeable[0]!.oid) ?? nothing)
    return Math.min(merged.length, mergeable.length)
  }

/** The replicas that a compaction cannot have waited for, because they lacked something that it merged. */
export const leftBehind = (before: LibraryState, after: LibraryState): ReadonlySet<Replica> => {
  const merged = Array.from(HashMap.toEntries(before.entities)).flatMap(([oid, was]) =>
    mergedOf(was, entityOf(after, oid) ?? nothing)
  )
  return leftBehindBy(before, merged)
}

/** The replicas that lack something of a library, or one of these operations. */
export const leftBehindBy = (library: LibraryState, merged: ReadonlyArray<StoredOperation>): ReadonlySet<Replica> => {
  const lacks = (replica: Replica) =>
    lacksHistory(library, replica) || merged.some((operation) => !has(replica, operation))
  return new Set(Array.from(library.replicas.values()).filter(lacks))
}

const mergedOf = (was: Entity, is: Entity): ReadonlyArray<StoredOperation> =>
  was.operations.slice(0, Math.max(0, was.operations.length - is.operations.length))

/** The entity's baseline after operations in their order; undefined: they deleted the entity. */
export const merge = (
  before: StoredBaseline | undefined,
  operations: ReadonlyArray<OwnedOperation>
): StoredBaseline | undefined => {
  const last = operations.at(-1)
  const merged = last && done.get(last)
  if (merged?.before === before && merged?.count === operations.length) return merged.after
  const after = foldBaseline(before && parseBaseline(before), operations)
  return after && storedBaseline(after)
}

/** Merges that were done in steps, by the last of their operations. */
const done = new WeakMap<
  OwnedOperation,
  { readonly before: StoredBaseline | undefined; readonly count: number; readonly after: StoredBaseline | undefined }
>()

/** Characters of an entity above which it is merged in steps: some 3 ms of work. */
const LONG = 64 * 1024

/** Characters that a merge reads. Counts no further once there are more than `max`. */
export const lengthOfMerge = (
  before: StoredBaseline | undefined,
  operations: ReadonlyArray<{ readonly text: string }>,
  max = Number.POSITIVE_INFINITY
): number => {
  let length = before?.text.length ?? 0
  for (let i = 0; i < operations.length && length <= max; i++) length += operations[i]!.text.length
  return length
}

/** Whether a merge takes long. */
export const isLongMerge = (
  before: StoredBaseline | undefined,
  operations: ReadonlyArray<{ readonly text: string }>
): boolean => lengthOfMerge(before, operations, LONG) > LONG

/**
 * Merges, so that `merge` of the same takes no time. An entity's operations go only when they are merged, and new ones come
 * between them. So a merge is the same if its baseline, its last operation and their number are.
 */
export const mergeInSteps = function* (
  before: StoredBaseline | undefined,
  operations: ReadonlyArray<OwnedOperation>
): Steps<void> {
  const last = operations.at(-1)
  if (last === undefined) return
  const after = yield* compacted(before, operations)
  done.set(last, { before, count: operations.length, after: after && (yield* storedInSteps(after)) })
}

const nothing: Entity = { baseline: undefined, operations: [] }

const parseBaseline = ({ text }: StoredBaseline): Baseline => Result.getOrThrow(readBaseline(JSON.parse(text)))

/** The entity's value, which must not be changed; undefined: it does not exist. */
export const valueOf = (entity: Entity): unknown => {
  const { baseline, operations } = entity
  const read = () => foldBaseline(baseline && parseBaseline(baseline), operations)?.snapshot
  if (operations.length < MANY_OPERATIONS) return read()
  if (values.has(entity)) return values.get(entity)
  const value = read()
  if (!takesMoreThan(MAX_KEPT, value)) values.set(entity, value)
  return value
}

/** Applying more operations takes longer than it is worth to repeat. The values of most entities are not kept in memory. */
const MANY_OPERATIONS = 16
/** Bytes of a value that is kept, besides its strings. */
const MAX_KEPT = 64 * 1024

const values = new WeakMap<Entity, unknown>()
