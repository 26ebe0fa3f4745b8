/**
 * Folding operations into baselines, so that a library is as large as what it holds and not as what was ever done to it.
 * An operation is folded once no older one of its entity can come, and everybody who will be sent operations has it.
 */
import { HashMap } from "effect"
import { type Baseline, isVisibleTo, type StoredOperation } from "./Items.ts"
import type { Json } from "./Json.ts"
import type { Entity, LibraryState, Replica } from "./Library.ts"
import { applyPatch, type Patch } from "./Patch.ts"
import { encodeFolded } from "./Payload.ts"

export interface Fold {
  readonly payload: Uint8Array
  readonly baselines: number
  readonly operations: number
}

/** undefined: nothing can be folded. `isTruant`: a replica that is not waited for. */
export const fold = (state: LibraryState, isTruant: (replica: Replica) => boolean): Fold | undefined => {
  const { watermark } = state
  if (watermark === null) return undefined
  const waitedFor = Array.from(state.replicas.values()).filter((replica) => !isTruant(replica))
  const isFoldable = (operation: StoredOperation): boolean =>
    operation.timestamp < watermark && waitedFor.every((replica) => has(replica, operation))

  const baselines: Array<Baseline> = []
  const operations: Array<StoredOperation> = []
  let { foldedUpTo } = state
  for (const entity of HashMap.values(state.entities)) {
    const first = entity.operations.findIndex((operation) => !isFoldable(operation))
    const end = first === -1 ? entity.operations.length : first
    const folded = entity.operations.slice(0, end)
    for (const { version } of folded) foldedUpTo = Math.max(foldedUpTo, version)
    const baseline = folded.length === 0 ? entity.baseline : foldEntity(entity.baseline, folded)
    if (baseline !== undefined) baselines.push(baseline)
    operations.push(...entity.operations.slice(end))
  }
  if (operations.length === state.operations) return undefined
  operations.sort((a, b) => a.version - b.version || (a.timestamp < b.timestamp ? -1 : 1))
  const payload = encodeFolded({
    watermark,
    foldedUpTo,
    replicas: Array.from(state.replicas.values()),
    files: Array.from(state.files.values()),
    baselines,
    operations
  })
  return { payload, baselines: baselines.length, operations: operations.length }
}

/** Whether a replica needs not be sent an operation any more. One whose state has not arrived will be sent everything. */
const has = ({ id, received, userId }: Replica, operation: StoredOperation): boolean =>
  received === null || operation.replicaId === id || operation.version <= received || !isVisibleTo(operation, userId)

/** The entity after some operations in their order; undefined when it was deleted. */
export const foldEntity = (
  before: Baseline | undefined,
  operations: ReadonlyArray<StoredOperation>
): Baseline | undefined => {
  let { authz, snapshot } = snapshotOf(before)
  let owner = before?.owner ?? null
  for (const operation of operations) {
    const json = JSON.parse(operation.text) as { readonly data: Patch; readonly authz?: string }
    snapshot = applyPatch(snapshot, json.data)
    if (operation.isInitialize) [authz, owner] = [json.authz, operation.owner]
  }
  const last = operations[operations.length - 1]
  if (snapshot === undefined || last === undefined) return snapshot === undefined ? undefined : before
  const { oid, timestamp } = last
  return { oid, timestamp, owner, text: JSON.stringify({ oid, snapshot, timestamp, authz }) }
}

const snapshotOf = (baseline: Baseline | undefined): { snapshot: Json | undefined; authz: string | undefined } => {
  if (baseline === undefined) return { snapshot: undefined, authz: undefined }
  const json = JSON.parse(baseline.text) as { readonly snapshot: Json | null; readonly authz?: string }
  // Clients have no baseline of what was deleted, and send one of null now and then.
  return { snapshot: json.snapshot ?? undefined, authz: json.authz }
}

/** What an entity is now; undefined when it was deleted. */
export const valueOf = ({ baseline, operations }: Entity): Json | undefined =>
  snapshotOf(operations.length === 0 ? baseline : foldEntity(baseline, operations)).snapshot
