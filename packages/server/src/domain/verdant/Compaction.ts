/**
 * Compaction: merges operations into baselines, so that a library is as large as its content and not as its history. An
 * operation is merged once no older one of its entity can come, and every replica that will be sent operations has it.
 *
 * A compaction may stop before all is merged that could be. Then the next one goes on, and the result is the same.
 */
import { HashMap, Result } from "effect"
import { storedReferences } from "./FileReferences.ts"
import { missedBaselines } from "./Missed.ts"
import { type Baseline, compact as foldBaseline, readBaseline } from "./model/Baseline.ts"
import { grown } from "./model/EntitySize.ts"
import { encodeFolded, storedBaseline } from "./model/PayloadCodec.ts"
import {
  byTimestamp,
  isVisibleTo,
  type OwnedOperation,
  type StoredBaseline,
  type StoredOperation
} from "./model/StoredItems.ts"
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

/** The work of one compaction, which other libraries wait for: about 10 ms. See `EntitySize` for the unit. */
const SLICE_WORK = 10_000_000
/** Writing a byte of the library. */
const WORK_PER_BYTE = 5
/** Decoding and encoding a character of an entity. */
const WORK_PER_MERGED_CHARACTER = 50

/**
 * As many operations as one slice of work allows. Every compaction writes the whole library, so a slice is at least as much
 * work as that: otherwise slices would take much more work than a compaction of everything.
 */
export const slice = ({ bytes }: Pick<LibraryState, "bytes">, least = SLICE_WORK): Portion => {
  const all = Math.max(least, bytes * WORK_PER_BYTE)
  let left = all
  return (entity, mergeable) => {
    const reading = (entity.baseline?.text.length ?? 0) * WORK_PER_MERGED_CHARACTER
    // A slice that begins with a long entity is as much work again, so that it is not read for a few operations.
    left = left === all ? Math.max(left, reading) : left - reading
    let size = { ...sizeWithout(entity), work: 0 }
    let count = 0
    while (count < mergeable.length && size.work < left) size = grown(size, mergeable[count++]!)
    left -= size.work
    return count
  }
}

export interface CompactionOptions {
  /** The replicas that it does not wait for. */
  readonly isTruant: (replica: Replica) => boolean
  /** Merges only operations that are older than this. Default: the watermark. */
  readonly upTo?: string | undefined
  readonly portion: Portion
}

/** The library after compaction; undefined: nothing can be merged. */
export const compact = (state: LibraryState, { isTruant, portion, upTo }: CompactionOptions): Compacted | undefined => {
  const { watermark } = state
  if (watermark === null) return undefined
  const end = upTo === undefined || watermark < upTo ? watermark : upTo
  const waitedFor = Array.from(state.replicas.values()).filter((replica) => !isTruant(replica))
  if (waitedFor.some((replica) => lacksHistory(state, replica))) return undefined
  const isMergeable = (operation: StoredOperation): boolean =>
    operation.timestamp < end && waitedFor.every((replica) => has(replica, operation))

  const baselines: Array<StoredBaseline> = []
  const operations: Array<StoredOperation> = []
  let { foldedUpTo } = state
  for (const entity of HashMap.values(state.entities)) {
    const first = entity.operations.findIndex((operation) => !isMergeable(operation))
    const mergeable = first === -1 ? entity.operations : entity.operations.slice(0, first)
    const merged = mergeable.length === 0 ? mergeable : mergeable.slice(0, portion(entity, mergeable))
    for (const { version } of merged) foldedUpTo = Math.max(foldedUpTo, version)
    const baseline = merged.length === 0 ? entity.baseline : merge(entity.baseline, merged)
    if (baseline !== undefined) baselines.push(baseline)
    for (const operation of entity.operations.slice(merged.length)) operations.push(operation)
  }
  if (operations.length === state.operations) return undefined
  operations.sort((a, b) => a.version - b.version || byTimestamp(a, b))
  const payload = encodeFolded({
    watermark,
    foldedUpTo,
    replicas: Array.from(state.replicas.values()),
    ...(state.formerReplicas.size > 0 && { formerReplicas: Array.from(state.formerReplicas) }),
    files: Array.from(state.files.values()),
    ...(HashMap.size(state.fileReferences) > 0 && { fileReferences: storedReferences(state.fileReferences) }),
    baselines,
    operations
  })
  return { payload, baselines: baselines.length, operations: operations.length }
}

/** Baselines that a client restored are sent as they were, so they stay until every replica has them. */
const lacksHistory = (state: LibraryState, replica: Replica): boolean =>
  missedBaselines(state, replica, replica.received ?? replica.joinedAt).length > 0

/** Whether a replica need not be sent an operation. The answer to its join may have arrived, so that counts. */
const has = ({ id, joinedAt, received, userId }: Replica, operation: StoredOperation): boolean =>
  operation.replicaId === id || operation.version <= (received ?? joinedAt) || !isVisibleTo(operation, userId)

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
  const lacks = (replica: Replica) =>
    lacksHistory(before, replica) || merged.some((operation) => !has(replica, operation))
  return new Set(Array.from(before.replicas.values()).filter(lacks))
}

const mergedOf = (was: Entity, is: Entity): ReadonlyArray<StoredOperation> =>
  was.operations.slice(0, Math.max(0, was.operations.length - is.operations.length))

/** The entity's baseline after operations in their order; undefined: they deleted the entity. */
export const merge = (
  before: StoredBaseline | undefined,
  operations: ReadonlyArray<OwnedOperation>
): StoredBaseline | undefined => {
  const after = foldBaseline(before && parseBaseline(before), operations)
  return after && storedBaseline(after)
}

const nothing: Entity = { baseline: undefined, operations: [] }

const parseBaseline = ({ text }: StoredBaseline): Baseline => Result.getOrThrow(readBaseline(JSON.parse(text)))

/** The entity's value, which must not be changed; undefined: it does not exist. */
export const valueOf = (entity: Entity): unknown => {
  const { baseline, operations } = entity
  const read = () => foldBaseline(baseline && parseBaseline(baseline), operations)?.snapshot
  if (operations.length < MANY_OPERATIONS) return read()
  if (!values.has(entity)) values.set(entity, read())
  return values.get(entity)
}

/** Applying more operations takes longer than it is worth to repeat. The values of most entities are not kept in memory. */
const MANY_OPERATIONS = 16

const values = new WeakMap<Entity, unknown>()
