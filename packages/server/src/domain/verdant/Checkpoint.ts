/**
 * A checkpoint in parts: a library is written in pieces of bounded size, while it goes on. `CheckpointBegun` says of which
 * version it is; the parts are made of the state at that version, which never changes; `CheckpointEnded` makes it count.
 *
 * Reading begins at `CheckpointBegun`. The events between the two are kept until all parts are there, and applied then.
 */
import { HashMap } from "effect"
import type { StreamEvent } from "../Stream.ts"
import { addOperations } from "./EntityOperations.ts"
import type { CheckpointBegun, ReplicaId } from "./Events.ts"
import { UNKNOWN, withAuthors, withReferences } from "./FileReferences.ts"
import { batchText, decodePart, encodePart, type LibraryPart } from "./model/PayloadCodec.ts"
import type { StoredOperation } from "./model/StoredItems.ts"
import { initial, isEmpty, type LibraryState, type Replica, type StoredFile } from "./State.ts"
import { allBatches, type Batch, newestBatch, type UnfoldedBatches, withBatch, withLonger } from "./UnfoldedBatches.ts"

/** Characters of a part; one item more if that is longer. */
const PART_LENGTH = 128 * 1024
/** Operations of a batch that one item holds. */
const BATCH_ITEM = 100
/** How long a checkpoint may stand still, in milliseconds, before another one may begin: its process may have ended. */
const STALE_MILLIS = 60_000

/**
 * Whether a checkpoint in parts is worth writing: the events since the last one are larger than the library, or that one is
 * a single event, which takes long to read.
 */
export const isCheckpointDue = ({ bytes, isWhole, tailBytes }: LibraryState): boolean => isWhole || tailBytes > bytes

/** Whether a checkpoint in parts may begin. Baselines that a client restored are in no part until every replica has them. */
export const mayBegin = (state: LibraryState, now: number): boolean =>
  !isEmpty(state) &&
  state.batches.restored.length === 0 &&
  (state.writing === undefined || Math.abs(now - state.writing.at) > STALE_MILLIS)

/** The parts of a checkpoint. Each is made when it is asked for. `partLength`: in characters. */
export const checkpointParts = function* (state: LibraryState, partLength = PART_LENGTH): Generator<Uint8Array> {
  let fields = new Map<keyof LibraryPart, Array<string>>()
  let length = 0
  for (const [field, text] of itemsOf(state)) {
    const items = fields.get(field)
    if (items === undefined) fields.set(field, [text])
    else items.push(text)
    length += text.length
    if (length < partLength) continue
    yield encodePart(fields)
    fields = new Map()
    length = 0
  }
  if (length > 0) yield encodePart(fields)
}

const itemsOf = function* (state: LibraryState): Generator<readonly [keyof LibraryPart, string]> {
  for (const replica of state.replicas.values()) yield ["replicas", JSON.stringify(replica)]
  for (const former of state.formerReplicas) yield ["formerReplicas", JSON.stringify(former)]
  for (const file of state.files.values()) yield ["files", JSON.stringify(file)]
  for (const former of state.formerFiles) yield ["formerFiles", JSON.stringify(former)]
  for (const { baseline } of HashMap.values(state.entities))
    if (baseline !== undefined) yield ["baselines", baseline.text]
  for (const batch of allBatches(state.batches)) {
    for (let start = 0; start < batch.operations.length; start += BATCH_ITEM) {
      yield ["batches", batchText(batch, batch.operations.slice(start, start + BATCH_ITEM))]
    }
  }
  for (const [fileId, { own, shared }] of state.fileReferences) {
    yield ["fileReferences", JSON.stringify([fileId, Array.from(shared), Array.from(own)])]
  }
}

/** The state with which reading begins at a `CheckpointBegun`. */
export const openingState = (event: StreamEvent, { library }: typeof CheckpointBegun.Type): LibraryState => {
  return { ...initial, ...library, opening: { of: event.version, later: undefined } }
}

/** The state with the content of a part. */
export const withPart = (state: LibraryState, payload: Uint8Array): LibraryState => {
  const part = decodePart(payload)
  const { baselines = [], formerFiles = [], formerReplicas = [] } = part
  const replicas = (part.replicas ?? []) as ReadonlyArray<Replica>
  const files = (part.files ?? []) as ReadonlyArray<StoredFile>
  const added = batchesOf(part)
  const operations = added.flatMap((batch) => batch.operations)
  const entities = HashMap.mutate(state.entities, (entities) => {
    for (const baseline of baselines) HashMap.set(entities, baseline.oid, { baseline, operations: [] })
    // Of all batches at once: an entity's operations are copied whenever some are added.
    addOperations(entities, operations)
  })
  const references = withReferences(state.fileReferences, [...baselines, ...operations], UNKNOWN)
  return {
    ...state,
    replicas: extended(
      state.replicas,
      replicas.map((replica) => [replica.id, replica])
    ),
    formerReplicas: extended(state.formerReplicas, formerReplicas),
    files: extended(
      state.files,
      files.map((file) => [file.fileId, file])
    ),
    formerFiles: extended(state.formerFiles, formerFiles),
    fileBytes: files.reduce((sum, { size }) => sum + size, state.fileBytes),
    entities,
    batches: added.reduce(withContinuation, state.batches),
    operations: state.operations + operations.length,
    baselines: state.baselines + baselines.length,
    fileReferences: withAuthors(references, part.fileReferences ?? [])
  }
}

const extended = <K, V>(before: ReadonlyMap<K, V>, added: ReadonlyArray<readonly [K, V]>): ReadonlyMap<K, V> =>
  added.length === 0 ? before : new Map([...before, ...added])

/** The batches of a part, each once. */
const batchesOf = ({ batches = [] }: LibraryPart): ReadonlyArray<Batch> => {
  const found: Array<{ readonly version: number; readonly replicaId: ReplicaId; operations: Array<StoredOperation> }> =
    []
  for (const { operations, replicaId, version } of batches) {
    const last = found.at(-1)
    const batch =
      last?.version === version && last.replicaId === replicaId ? last : { version, replicaId, operations: [] }
    if (batch !== last) found.push(batch)
    for (const operation of operations) batch.operations.push({ ...operation, version, replicaId })
  }
  return found.map((batch) => ({ ...batch, baselines: [] }))
}

/** The first batch of a part may go on with the last one of the part before. */
const withContinuation = (batches: UnfoldedBatches, batch: Batch): UnfoldedBatches => {
  const last = newestBatch(batches)
  if (last?.version !== batch.version || last.replicaId !== batch.replicaId) return withBatch(batches, batch)
  return withLonger(batches, batch.operations)
}
