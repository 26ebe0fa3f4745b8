/**
 * Operations that are not compacted yet, event by event. A new batch is added, and operations are taken out, without
 * copying what stays: only the chunks that change are copied.
 */
import type { ReplicaId } from "./Events.ts"
import type { StoredBaseline, StoredOperation } from "./model/StoredItems.ts"

/** Operations of one event that are not compacted yet. */
export interface Batch {
  readonly version: number
  readonly replicaId: ReplicaId
  readonly operations: ReadonlyArray<StoredOperation>
  /** Baselines that a client restored: for replicas that joined before it. */
  readonly baselines: ReadonlyArray<StoredBaseline>
}

export interface UnfoldedBatches {
  /** Never empty ones, in the order of their versions. */
  readonly chunks: ReadonlyArray<ReadonlyArray<Batch>>
  /** The batches after those of the chunks, newest first. */
  readonly recent: List
  readonly recentLength: number
  /** Versions of the batches that have baselines. */
  readonly restored: ReadonlyArray<number>
}

type List = { readonly newest: Batch; readonly older: List } | undefined

/** Batches of a chunk. */
const CHUNK = 256

export const noBatches: UnfoldedBatches = { chunks: [], recent: undefined, recentLength: 0, restored: [] }

/** Adds a batch that is no older than the others. */
export const withBatch = (batches: UnfoldedBatches, newest: Batch): UnfoldedBatches => {
  const { chunks, recentLength } = batches
  const restored = newest.baselines.length === 0 ? batches.restored : [...batches.restored, newest.version]
  const recent = { newest, older: batches.recent }
  if (recentLength < CHUNK - 1) return { chunks, recent, recentLength: recentLength + 1, restored }
  return { chunks: [...chunks, oldestFirst(recent)], recent: undefined, recentLength: 0, restored }
}

/** The newest batch gets more operations. */
export const withLonger = (batches: UnfoldedBatches, operations: ReadonlyArray<StoredOperation>): UnfoldedBatches => {
  const { chunks, recent } = batches
  const lengthen = (batch: Batch): Batch => ({ ...batch, operations: [...batch.operations, ...operations] })
  if (recent !== undefined) return { ...batches, recent: { ...recent, newest: lengthen(recent.newest) } }
  const last = chunks.at(-1) ?? []
  return { ...batches, chunks: [...chunks.slice(0, -1), [...last.slice(0, -1), ...last.slice(-1).map(lengthen)]] }
}

const oldestFirst = (list: List): ReadonlyArray<Batch> => {
  const batches: Array<Batch> = []
  for (let rest = list; rest !== undefined; rest = rest.older) batches.push(rest.newest)
  return batches.reverse()
}

export const newestBatch = ({ chunks, recent }: UnfoldedBatches): Batch | undefined =>
  recent?.newest ?? chunks.at(-1)?.at(-1)

export const newestFirst = function* ({ chunks, recent }: UnfoldedBatches): Generator<Batch> {
  for (let rest = recent; rest !== undefined; rest = rest.older) yield rest.newest
  for (let i = chunks.length - 1; i >= 0; i--) {
    const chunk = chunks[i]!
    for (let j = chunk.length - 1; j >= 0; j--) yield chunk[j]!
  }
}

/** In the order of their versions. */
export const allBatches = function* ({ chunks, recent }: UnfoldedBatches): Generator<Batch> {
  for (const chunk of chunks) yield* chunk
  yield* oldestFirst(recent)
}

export const batchOf = ({ chunks, recent }: UnfoldedBatches, version: number): Batch | undefined => {
  for (let rest = recent; rest !== undefined; rest = rest.older)
    if (rest.newest.version <= version) return rest.newest.version === version ? rest.newest : undefined
  return chunks.findLast(([first]) => first!.version <= version)?.findLast((batch) => batch.version === version)
}

/** The batches that have baselines. */
export const restoredBatches = (batches: UnfoldedBatches): ReadonlyArray<Batch> =>
  batches.restored.flatMap((version) => batchOf(batches, version) ?? [])

/** `batches`: in the order of their versions. */
export const fromBatches = (batches: Iterable<Batch>): UnfoldedBatches => {
  let all = noBatches
  for (const batch of batches) all = withBatch(all, batch)
  return all
}

/**
 * The batches without operations that were compacted, and without baselines: every replica has those by then. A batch that
 * holds nothing is left out; `emptied` is the number of these.
 */
export const withoutMerged = (
  { chunks, recent, restored }: UnfoldedBatches,
  merged: Iterable<StoredOperation>
): { readonly batches: UnfoldedBatches; readonly emptied: number } => {
  const gone = new Map<number, Set<StoredOperation>>(restored.map((version) => [version, new Set()]))
  for (const operation of merged) {
    const same = gone.get(operation.version)
    if (same === undefined) gone.set(operation.version, new Set([operation]))
    else same.add(operation)
  }
  const versions = Array.from(gone.keys()).sort((a, b) => a - b)
  const left: Array<ReadonlyArray<Batch>> = []
  let emptied = 0
  const without = (batches: ReadonlyArray<Batch>): ReadonlyArray<Batch> => {
    const changed = batches.flatMap((batch) => withoutOperations(batch, gone.get(batch.version)) ?? [])
    emptied += batches.length - changed.length
    return changed
  }
  for (const chunk of chunks) {
    const changed = isTouched(chunk, versions) ? without(chunk) : chunk
    const before = left.at(-1)
    if (before !== undefined && changed !== chunk && before.length + changed.length <= CHUNK) {
      left[left.length - 1] = [...before, ...changed]
    } else if (changed.length > 0) left.push(changed)
  }
  let batches: UnfoldedBatches = { ...noBatches, chunks: left }
  for (const batch of without(oldestFirst(recent))) batches = withBatch(batches, batch)
  return { batches, emptied }
}

/** Whether a chunk may have batches of these versions, which are in order. */
const isTouched = (chunk: ReadonlyArray<Batch>, versions: ReadonlyArray<number>): boolean => {
  let [start, end] = [0, versions.length]
  const first = chunk[0]!.version
  while (start < end) {
    const middle = (start + end) >>> 1
    if (versions[middle]! < first) start = middle + 1
    else end = middle
  }
  return start < versions.length && versions[start]! <= chunk.at(-1)!.version
}

/** undefined: the batch holds nothing any more. */
const withoutOperations = (batch: Batch, gone: ReadonlySet<StoredOperation> | undefined): Batch | undefined => {
  if (gone === undefined) return batch
  const operations = batch.operations.filter((operation) => !gone.has(operation))
  return operations.length === 0 ? undefined : { ...batch, operations, baselines: [] }
}
