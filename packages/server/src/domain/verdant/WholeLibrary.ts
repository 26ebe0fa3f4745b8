/** The library that one event holds as a whole: a small one after a compaction, or a large one in a log of older servers. */
import { HashMap } from "effect"
import { allAtOnce, chunksOf, type Steps } from "../Steps.ts"
import { addOperations } from "./EntityOperations.ts"
import { leftReferences, UNKNOWN, withReferences } from "./FileReferences.ts"
import { decodedFolded } from "./model/PayloadCodec.ts"
import type { StoredOperation } from "./model/StoredItems.ts"
import { latest } from "./model/Timestamp.ts"
import type { Entity, LibraryState, Replica, StoredFile } from "./State.ts"
import { type Batch, noBatches, withBatch } from "./UnfoldedBatches.ts"

/** The part of the state that the event tells. `newest`: as far as it tells. */
type Whole = Pick<
  LibraryState,
  | "replicas"
  | "formerReplicas"
  | "entities"
  | "batches"
  | "operations"
  | "baselines"
  | "bytes"
  | "watermark"
  | "newest"
  | "foldedUpTo"
  | "files"
  | "formerFiles"
  | "fileBytes"
  | "fileReferences"
>

/** Libraries that were read in steps, by their payloads. */
const read = new WeakMap<Uint8Array, Whole>()

/** Reads a library, so that `withWhole` of the same payload takes no time. */
export const readWhole = function* (payload: Uint8Array): Steps<void> {
  read.set(payload, yield* wholeOf(payload))
}

export const withWhole = (state: LibraryState, payload: Uint8Array): LibraryState => {
  const whole = read.get(payload) ?? allAtOnce(wholeOf(payload))
  const newest = latest([state.newest, whole.newest])
  return { ...state, ...whole, newest, tailBytes: 0, isWhole: true, writing: undefined }
}

const wholeOf = function* (payload: Uint8Array): Steps<Whole> {
  const folded = yield* decodedFolded(payload)
  const replicas = folded.replicas as ReadonlyArray<Replica>
  const files = folded.files as ReadonlyArray<StoredFile>
  let newest = latest([folded.watermark, ...replicas.map(({ wrote }) => wrote)])
  let fileReferences = HashMap.empty() as LibraryState["fileReferences"]
  let entities = HashMap.empty<string, Entity>()
  for (const baselines of chunksOf(folded.baselines)) {
    entities = HashMap.mutate(entities, (entities) => {
      for (const baseline of baselines) HashMap.set(entities, baseline.oid, { baseline, operations: [] })
    })
    fileReferences = withReferences(fileReferences, baselines, UNKNOWN)
    newest = latest([newest, ...baselines.map(({ timestamp }) => timestamp)])
    yield
  }
  for (const operations of chunksOf(folded.operations)) {
    entities = HashMap.mutate(entities, (entities) => addOperations(entities, operations))
    fileReferences = withReferences(fileReferences, operations, UNKNOWN)
    newest = latest([newest, ...operations.map(({ timestamp }) => timestamp)])
    yield
  }
  return {
    replicas: new Map(replicas.map((replica) => [replica.id, replica])),
    formerReplicas: new Map(folded.formerReplicas),
    entities,
    batches: yield* batchesOf(folded.operations),
    operations: folded.operations.length,
    baselines: folded.baselines.length,
    bytes: payload.length,
    watermark: folded.watermark,
    newest,
    foldedUpTo: folded.foldedUpTo,
    files: new Map(files.map((file) => [file.fileId, file])),
    formerFiles: new Map(folded.formerFiles),
    fileBytes: files.reduce((sum, { size }) => sum + size, 0),
    fileReferences: leftReferences(fileReferences, folded.fileReferences)
  }
}

/** The operations of one event are one replica's, except in the event that imported a library. */
const batchesOf = function* (operations: ReadonlyArray<StoredOperation>): Steps<LibraryState["batches"]> {
  const found = new Map<string, Batch & { readonly operations: Array<StoredOperation> }>()
  for (const some of chunksOf(operations)) {
    for (const operation of some) {
      const { replicaId, version } = operation
      const name = `${version} ${replicaId}`
      const batch = found.get(name)
      if (batch === undefined) found.set(name, { version, replicaId, operations: [operation], baselines: [] })
      else batch.operations.push(operation)
    }
    yield
  }
  let batches = noBatches
  for (const some of chunksOf(Array.from(found.values()))) {
    for (const batch of some) batches = withBatch(batches, batch)
    yield
  }
  return batches
}
