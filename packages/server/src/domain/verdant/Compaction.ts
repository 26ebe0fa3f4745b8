/**
 * Compaction: merges operations into baselines, so that a library is as large as its content and not as its history. An
 * operation is merged once no older one of its entity can come, and every replica that will be sent operations has it.
 */
import { HashMap, Result } from "effect"
import { missedBaselines } from "./Missed.ts"
import { type Baseline, decodeBaseline, compact as foldBaseline } from "./model/Baseline.ts"
import { encodeFolded, storedBaseline } from "./model/PayloadCodec.ts"
import { byTimestamp, isVisibleTo, type StoredBaseline, type StoredOperation } from "./model/StoredItems.ts"
import { type Entity, entityOf, type LibraryState, type Replica } from "./State.ts"

export interface Compacted {
  /** The whole library. */
  readonly payload: Uint8Array
  /** Counts of what is in it. */
  readonly baselines: number
  readonly operations: number
}

/** The library after compaction; undefined: nothing can be merged. `isTruant`: the replicas that it does not wait for. */
export const compact = (state: LibraryState, isTruant: (replica: Replica) => boolean): Compacted | undefined => {
  const { watermark } = state
  if (watermark === null) return undefined
  const waitedFor = Array.from(state.replicas.values()).filter((replica) => !isTruant(replica))
  if (waitedFor.some((replica) => lacksHistory(state, replica))) return undefined
  const isMergeable = (operation: StoredOperation): boolean =>
    operation.timestamp < watermark && waitedFor.every((replica) => has(replica, operation))

  const baselines: Array<StoredBaseline> = []
  const operations: Array<StoredOperation> = []
  let { foldedUpTo } = state
  for (const entity of HashMap.values(state.entities)) {
    const first = entity.operations.findIndex((operation) => !isMergeable(operation))
    const end = first === -1 ? entity.operations.length : first
    const merged = entity.operations.slice(0, end)
    for (const { version } of merged) foldedUpTo = Math.max(foldedUpTo, version)
    const baseline = merged.length === 0 ? entity.baseline : merge(entity.baseline, merged)
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
const merge = (
  before: StoredBaseline | undefined,
  operations: ReadonlyArray<StoredOperation>
): StoredBaseline | undefined => {
  const after = foldBaseline(before && readBaseline(before), operations)
  return after && storedBaseline(after)
}

const nothing: Entity = { baseline: undefined, operations: [] }

const readBaseline = ({ text }: StoredBaseline): Baseline => Result.getOrThrow(decodeBaseline(JSON.parse(text)))

/** The entity's value; undefined: it does not exist. */
export const valueOf = ({ baseline, operations }: Entity): unknown =>
  foldBaseline(baseline && readBaseline(baseline), operations)?.snapshot
