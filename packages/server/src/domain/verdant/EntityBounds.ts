/**
 * The bounds of one entity: an operation is accepted only if what it makes of its entity can be stored, sent and compacted.
 * The bounds are judged by upper estimates. When these exceed a bound, the entity is measured.
 */
import type { Quota } from "../Quota.ts"
import { merge } from "./Compaction.ts"
import { MAX_ENTITY_LENGTH } from "./model/Baseline.ts"
import {
  type EntitySize,
  grown,
  onlyTakesAway,
  opensTooManyHoles,
  takesTimeOfItems,
  withLength
} from "./model/EntitySize.ts"
import { byTimestamp, type OwnedOperation, type StoredBaseline } from "./model/StoredItems.ts"
import { type Entity, entityOf, type LibraryState, sizeWithout } from "./State.ts"

/** The most work that the compaction of an entity's operations may be: some ten seconds, in slices. */
const MAX_WORK = 10_000_000_000
/** The most work of measuring an entity for one decision. */
const MAX_MEASURED_WORK = 20_000_000
/** An entity is measured again once its estimate has grown by this part of its bound. */
const MEASURED_EVERY = 1 / 8
/**
 * The most of a library's bytes that one entity takes, which is parsed as a whole when its operations are compacted. So many
 * characters are always allowed.
 */
const [PART_OF_LIBRARY, ALWAYS_ALLOWED] = [1 / 4, 1024 * 1024] as const

/** Characters of an entity's baseline in a library with this quota. */
const maxLengthOf = ({ bytes }: Pick<Quota, "bytes">): number =>
  Math.min(MAX_ENTITY_LENGTH, Math.max(ALWAYS_ALLOWED, Math.floor(bytes * PART_OF_LIBRARY)))

/** The size that an entity has at most. */
export const sizeOf = (entity: Entity): EntitySize => measured.get(entity) ?? entity.size ?? sizeWithout(entity)

/** The entity after operations that were added to it, with its size. */
export const withSize = (before: Entity | undefined, after: Entity, added: ReadonlyArray<OwnedOperation>): Entity => {
  const isAppended = before !== undefined && after.operations.at(-added.length) === added[0]
  const size = isAppended ? added.reduce(grown, sizeOf(before)) : after.operations.reduce(grown, sizeWithout(after))
  return { ...after, size }
}

/** The operations that their entities have no room for. Operations on one entity that only together exceed it are all refused. */
export const oversized = (
  state: LibraryState,
  operations: ReadonlyArray<OwnedOperation>,
  baselines: ReadonlyArray<StoredBaseline>,
  quota: Pick<Quota, "bytes">
): ReadonlySet<OwnedOperation> => {
  const maxLength = maxLengthOf(quota)
  const refused = new Set<OwnedOperation>()
  const sent = new Map(baselines.map((baseline) => [baseline.oid, baseline]))
  for (const [oid, added] of Map.groupBy(operations, (operation): string => operation.oid)) {
    const entity = entityOf(state, oid) ?? { baseline: sent.get(oid), operations: [] }
    for (const operation of refusedOf(entity, added.toSorted(byTimestamp), maxLength)) refused.add(operation)
  }
  return refused
}

/** `added`: in the order of their timestamps. */
const refusedOf = (
  entity: Entity,
  added: ReadonlyArray<OwnedOperation>,
  maxLength: number
): ReadonlyArray<OwnedOperation> => {
  const last = entity.operations.at(-1)
  const isLate = last !== undefined && added[0]!.timestamp <= last.timestamp
  const all = isLate ? entity.operations.concat(added as never).toSorted(byTimestamp) : added
  const isAdded = isLate ? new Set<OwnedOperation>(added) : undefined
  const tooFar = new Set<OwnedOperation>()
  const kept: Array<OwnedOperation> = []
  let size = isLate ? sizeWithout(entity) : sizeOf(entity)
  for (const operation of all) {
    if (opensTooManyHoles(size, operation.outline) && (isAdded?.has(operation) ?? true)) tooFar.add(operation)
    else {
      kept.push(operation)
      size = grown(size, operation)
    }
  }
  const isFull = size.length > maxLength && !fits(entity, kept, size, { isLate, maxLength })
  const isBusy = size.work > MAX_WORK
  return added.filter(
    (operation) =>
      tooFar.has(operation) ||
      (isFull && !onlyTakesAway(operation.outline)) ||
      (isBusy && takesTimeOfItems(operation.outline))
  )
}

/** `operations`: all of the entity if some are late, or else the added ones. `size`: with them. */
const fits = (
  entity: Entity,
  operations: ReadonlyArray<OwnedOperation>,
  size: EntitySize,
  { isLate, maxLength }: { readonly isLate: boolean; readonly maxLength: number }
): boolean => {
  const measuredEvery = maxLength * MEASURED_EVERY
  const now = knownSize(entity, measuredEvery)
  if (!isLate && operations.reduce(grown, now).length <= maxLength) return true
  // Only operations that are as long as what is left are worth another measurement.
  if (now.length > maxLength - measuredEvery || size.work > MAX_MEASURED_WORK) return false
  const all = isLate ? operations : [...entity.operations, ...operations]
  return (merge(entity.baseline, all)?.text.length ?? 0) <= maxLength
}

/** A cache, so that an entity is not measured for each operation that it has no room for. */
const measured = new WeakMap<Entity, EntitySize>()

const knownSize = (entity: Entity, measuredEvery: number): EntitySize => {
  const size = sizeOf(entity)
  if (size.length - size.exact < measuredEvery || size.work > MAX_MEASURED_WORK) return size
  const exact = withLength(size, merge(entity.baseline, entity.operations)?.text.length ?? 0)
  measured.set(entity, exact)
  return exact
}
