/**
 * The content that replicas bring back to a library after the log was restored from an older backup. A replica that synced before the
 * restore may hold what the log lost, and sends only what is newer than its last sync. So it is asked for everything, the
 * library takes what it lacks, and the replica is reset to the library as it is then. All devices and newcomers are equal again.
 */
import { Result } from "effect"
import type { Sync } from "./Commands.ts"
import type { DecisionContext } from "./Context.ts"
import { readOperation } from "./model/Operation.ts"
import { byTimestamp, type OwnedOperation, type StoredBaseline } from "./model/StoredItems.ts"
import { entityOf, firstFrom, hasOperation, type LibraryState } from "./State.ts"

/** Whether a replica is to send everything that it has. A replica that never synced with a server has nothing that the log lost. */
export const owesAll = (
  { formerReplicas, replicas }: LibraryState,
  { replicaId, resyncAll, type }: Sync,
  { restoredAt }: Pick<DecisionContext, "restoredAt">
): boolean => {
  if (restoredAt === undefined || resyncAll || type >= 4) return false
  const replica = replicas.get(replicaId)
  return replica === undefined ? !formerReplicas.has(replicaId) : (replica.sentAllAt ?? 0) < restoredAt
}

/** The operations that the library lacks of all that a replica has, oldest first. A baseline counts as one operation. */
export const lackedOf = (state: LibraryState, { baselines, operations }: Sync): ReadonlyArray<OwnedOperation> => {
  const seen = new Set<string>()
  return [...baselines.flatMap(asOperation), ...operations]
    .filter((operation) => {
      const { oid, timestamp } = operation
      const name = `${timestamp} ${oid}`
      if (seen.has(name) || isHeld(state, operation)) return false
      seen.add(name)
      return true
    })
    .toSorted(byTimestamp)
}

/**
 * Whether the library has an operation, or cannot put it in its place any more: a newer one of the same object is compacted, or
 * may be compacted by others.
 */
const isHeld = (state: LibraryState, { oid, timestamp }: OwnedOperation): boolean => {
  if (hasOperation(state, oid, timestamp)) return true
  const entity = entityOf(state, oid)
  if (entity?.baseline !== undefined && entity.baseline.timestamp >= timestamp) return true
  if (entity === undefined || state.watermark === null || timestamp >= state.watermark) return false
  const next = entity.operations[firstFrom(entity.operations, timestamp)]
  return next !== undefined && next.timestamp < state.watermark
}

/** The operation that makes of an object what the baseline says. Everything that the baseline includes is older. */
const asOperation = ({ oid, owner, text, timestamp }: StoredBaseline): ReadonlyArray<OwnedOperation> => {
  const { authz, snapshot } = JSON.parse(text) as { readonly authz?: unknown; readonly snapshot?: unknown }
  if (snapshot === undefined || snapshot === null) return []
  const read = readOperation({ oid, timestamp, authz, data: { op: "initialize", value: snapshot } })
  return Result.isFailure(read) ? [] : [{ ...read.success, owner }]
}
