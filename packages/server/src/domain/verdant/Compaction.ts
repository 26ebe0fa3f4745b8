/**
 * Folding operations into baselines, so that a library is as large as what it holds and not as what was ever done to it.
 * An operation is folded once no older one of its entity can come, and everybody who will be sent operations has it.
 */
import { HashMap, Result } from "effect"
import { missedBaselines } from "./Missed.ts"
import { type Baseline, decodeBaseline, compact as foldBaseline } from "./model/Baseline.ts"
import { encodeFolded, storedBaseline } from "./model/PayloadCodec.ts"
import { byTimestamp, isVisibleTo, type StoredBaseline, type StoredOperation } from "./model/StoredItems.ts"
import { type Entity, entityOf, type LibraryState, type Replica } from "./State.ts"

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
  // A library's history that one of them was not sent yet is sent to it as it was brought.
  const lacksHistory = (replica: Replica) =>
    missedBaselines(state, replica, replica.received ?? replica.joinedAt).length > 0
  if (waitedFor.some(lacksHistory)) return undefined
  const isFoldable = (operation: StoredOperation): boolean =>
    operation.timestamp < watermark && waitedFor.every((replica) => has(replica, operation))

  const baselines: Array<StoredBaseline> = []
  const operations: Array<StoredOperation> = []
  let { foldedUpTo } = state
  for (const entity of HashMap.values(state.entities)) {
    const first = entity.operations.findIndex((operation) => !isFoldable(operation))
    const end = first === -1 ? entity.operations.length : first
    const folded = entity.operations.slice(0, end)
    for (const { version } of folded) foldedUpTo = Math.max(foldedUpTo, version)
    const baseline = folded.length === 0 ? entity.baseline : foldEntity(entity.baseline, folded)
    if (baseline !== undefined) baselines.push(baseline)
    for (const operation of entity.operations.slice(end)) operations.push(operation)
  }
  if (operations.length === state.operations) return undefined
  operations.sort((a, b) => a.version - b.version || byTimestamp(a, b))
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

/** Whether a replica needs not be sent an operation any more. What it was sent when it joined may well have arrived. */
const has = ({ id, joinedAt, received, userId }: Replica, operation: StoredOperation): boolean =>
  operation.replicaId === id || operation.version <= (received ?? joinedAt) || !isVisibleTo(operation, userId)

/**
 * What a fold changed that no folding changes; undefined when nothing. Operations may be folded from an entity's oldest on,
 * and what is left, baseline and operations, must say what all of them said before.
 */
export const foldProblem = (before: LibraryState, after: LibraryState): string | undefined => {
  const oids = new Set([...HashMap.keys(before.entities), ...HashMap.keys(after.entities)])
  for (const oid of oids) {
    const [was, is] = [entityOf(before, oid) ?? nothing, entityOf(after, oid) ?? nothing]
    const folded = was.operations.slice(0, was.operations.length - is.operations.length)
    const left = was.operations.slice(folded.length)
    if (left.length !== is.operations.length || left.some(({ text }, i) => text !== is.operations[i]?.text)) {
      return `operations on ${oid} are not those that were there`
    }
    const baseline = folded.length === 0 ? was.baseline : foldEntity(was.baseline, folded)
    if (baseline?.text !== is.baseline?.text) return `${oid} is not what its operations make of it`
  }
  return undefined
}

/** The entity after some operations in their order; undefined when it was deleted. */
const foldEntity = (
  before: StoredBaseline | undefined,
  operations: ReadonlyArray<StoredOperation>
): StoredBaseline | undefined => {
  const after = foldBaseline(before && readBaseline(before), operations)
  return after && storedBaseline(after)
}

const nothing: Entity = { baseline: undefined, operations: [] }

const readBaseline = ({ text }: StoredBaseline): Baseline => Result.getOrThrow(decodeBaseline(JSON.parse(text)))

/** What an entity is now; undefined when it is not there. */
export const valueOf = ({ baseline, operations }: Entity): unknown =>
  foldBaseline(baseline && readBaseline(baseline), operations)?.snapshot
