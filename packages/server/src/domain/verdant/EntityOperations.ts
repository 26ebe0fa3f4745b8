/** Puts operations in their place among those of their entities. */
import { HashMap, Option } from "effect"
import { withSize } from "./EntityBounds.ts"
import { byTimestamp, type StoredOperation } from "./model/StoredItems.ts"
import { type Entity, firstFrom } from "./State.ts"

/** Adds each entity's operations at once: one message may bring very many of one entity. */
export const addOperations = (
  entities: HashMap.HashMap<string, Entity>,
  operations: ReadonlyArray<StoredOperation>
): void => {
  for (const [oid, added] of Map.groupBy(operations, (operation) => operation.oid)) {
    const entity = Option.getOrUndefined(HashMap.get(entities, oid))
    const sorted = added.length === 1 ? added : added.toReversed().sort(byTimestamp)
    const operations = merged(entity?.operations ?? [], sorted)
    HashMap.set(entities, oid, withSize(entity, { baseline: entity?.baseline, operations }, sorted))
  }
}

/** In the order of timestamps, in which `sorted` is; of equal timestamps, the later arrival comes first. */
const merged = (
  before: ReadonlyArray<StoredOperation>,
  sorted: ReadonlyArray<StoredOperation>
): ReadonlyArray<StoredOperation> => {
  // Nearly always the end: clients send their newest operations.
  const start = firstFrom(before, sorted[0]!.timestamp)
  if (start === before.length) return start === 0 ? sorted : before.concat(sorted)
  return before.slice(0, start).concat(sorted.concat(before.slice(start)).sort(byTimestamp))
}
