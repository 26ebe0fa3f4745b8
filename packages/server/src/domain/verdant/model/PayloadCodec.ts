/** Encodes and decodes the payloads of a library's events: JSON with operations and baselines as clients sent them. */
import { Result } from "effect"
import type { FileId } from "../../Ids.ts"
import { parsed } from "../../JsonInSteps.ts"
import { allAtOnce, mapped, type Steps } from "../../Steps.ts"
import type { ReplicaId } from "../Events.ts"
import type { StoredReferences } from "../FileReferences.ts"
import type { Authz } from "./Authz.ts"
import { type Baseline, readBaseline } from "./Baseline.ts"
import { listSizeOf } from "./EntitySize.ts"
import { foundFiles } from "./FilesIn.ts"
import { isOid, type Oid } from "./Oid.ts"
import { type Malformed, readOperation } from "./Operation.ts"
import type { Entity, Patch } from "./Patch.ts"
import { type OwnedOperation, ownerOf, type StoredBaseline, type StoredOperation } from "./StoredItems.ts"
import type { Timestamp } from "./Timestamp.ts"

/** The payload of an `OperationsStored`. */
export interface Items {
  readonly operations: ReadonlyArray<OwnedOperation>
  readonly baselines: ReadonlyArray<StoredBaseline>
}

interface Sent {
  /** `collection/document`, or `collection/document:part` for an object or a list in it. */
  readonly oid: Oid
  /** Hybrid logical clock; the greater text is later. */
  readonly timestamp: Timestamp
  /** Base64 of `u:<user>:*`: only that user may see it. Absent: all users of the library may. */
  readonly authz?: Authz
}

/** An operation as Verdant's protocol has it. */
export interface SentOperation extends Sent {
  readonly data: Patch
}

/** A baseline as Verdant's protocol has it. */
export interface SentBaseline extends Sent {
  readonly snapshot: Entity
}

/** The payload of a `Folded`: a whole library after a compaction. */
export interface FoldedLibrary {
  readonly watermark: string | null
  readonly foldedUpTo: number
  readonly replicas: ReadonlyArray<unknown>
  /** Replicas that the library does not hold any more, with their users. Absent: none, or an older server wrote it. */
  readonly formerReplicas?: ReadonlyArray<readonly [ReplicaId, string]>
  readonly files: ReadonlyArray<unknown>
  /** The same of files. */
  readonly formerFiles?: ReadonlyArray<readonly [FileId, string]>
  /** The authors of references to files. Absent: there is no reference, or an older server wrote it. */
  readonly fileReferences?: ReadonlyArray<StoredReferences>
  readonly baselines: ReadonlyArray<StoredBaseline>
  readonly operations: ReadonlyArray<StoredOperation>
}

export const storedBaseline = (baseline: Baseline): StoredBaseline => allAtOnce(storedInSteps(baseline))

/** The same in steps. */
export const storedInSteps = function* ({ oid, timestamp, authz, snapshot, text }: Baseline): Steps<StoredBaseline> {
  const list = listSizeOf(snapshot)
  const stored = { oid, timestamp, text, owner: ownerOf(authz), files: yield* foundFiles(snapshot, text) }
  return list === undefined ? stored : { ...stored, list }
}

/** Payloads that this process encoded or decoded in steps, so that it need not decode them. */
const known = new WeakMap<Uint8Array, Items>()

const itemsText = (operations: string, baselines: string): string =>
  `{"operations":[${operations}],"baselines":[${baselines}]}`

/** Bytes of the payload of an `OperationsStored`, besides its items. */
export const emptyItemsLength = itemsText("", "").length

export const encodeItems = (items: Items): Uint8Array => {
  const [operations, baselines] = [textsOf(items.operations), textsOf(items.baselines)]
  const payload = Buffer.from(itemsText(operations, baselines))
  known.set(payload, items)
  return payload
}

/** The bytes are not the payload of a library's event. */
export class PayloadDamaged extends Error {
  override readonly name = "PayloadDamaged"
}

/** Throws `PayloadDamaged` when the payload is not one of an `OperationsStored`. */
export const decodeItems = (payload: Uint8Array): Items => {
  const found = known.get(payload)
  if (found !== undefined) return found
  const { operations, baselines } = parse(payload)
  return { operations: operations.map(operationOf), baselines: baselines.map(baselineOf) }
}

/** Decodes in steps, so that `decodeItems` of the same payload takes no time. Throws as it does. */
export const prepareItems = function* (payload: Uint8Array): Steps<void> {
  if (known.has(payload)) return
  const { operations, baselines } = itemsIn(yield* parsedJson(payload))
  known.set(payload, {
    operations: yield* mapped(operations, operationOf),
    baselines: yield* mapped(baselines, baselineOf)
  })
}

/** The items of an `OperationsStored` in the protocol's shape. Throws as `decodeItems` does. */
export const decodeSent = (
  payload: Uint8Array
): { readonly operations: ReadonlyArray<SentOperation>; readonly baselines: ReadonlyArray<SentBaseline> } => {
  const { operations, baselines } = parse(payload)
  return {
    operations: operations.map((json) => {
      const { authz, oid, timestamp } = readOrThrow(readOperation(json))
      return { oid, timestamp, ...(authz && { authz }), data: (json as { readonly data: Patch }).data }
    }),
    baselines: baselines.map((json) => {
      const { authz, oid, snapshot, timestamp } = readOrThrow(readBaseline(json))
      return { oid, timestamp, ...(authz && { authz }), snapshot }
    })
  }
}

/** As `known`: a compaction is a whole library, which takes long to decode. */
const knownFolded = new WeakMap<Uint8Array, FoldedLibrary>()

export const encodeFolded = (library: FoldedLibrary): Uint8Array => {
  const { operations, baselines, ...rest } = library
  const placed = operations.map(({ version, replicaId, text }) => `[${version},"${replicaId}",${text}]`).join()
  const fields = JSON.stringify(rest).slice(0, -1)
  const payload = Buffer.from(`${fields},"operations":[${placed}],"baselines":[${textsOf(baselines)}]}`)
  knownFolded.set(payload, library)
  return payload
}

/** Throws `PayloadDamaged` when the payload is not one of a `Folded`. */
export const decodeFolded = (payload: Uint8Array): FoldedLibrary => allAtOnce(decodedFolded(payload))

/** The same in steps. */
export const decodedFolded = function* (payload: Uint8Array): Steps<FoldedLibrary> {
  const found = knownFolded.get(payload)
  if (found !== undefined) return found
  const { operations, baselines, ...rest } = itemsIn(yield* parsedJson(payload))
  if (!Array.isArray(rest["replicas"]) || !Array.isArray(rest["files"])) throw notOfALibrary()
  return {
    ...(rest as unknown as Omit<FoldedLibrary, "operations" | "baselines">),
    baselines: yield* mapped(baselines, baselineOf),
    operations: yield* mapped(operations, (placed) => {
      if (!Array.isArray(placed)) throw notOfALibrary()
      const [version, replicaId, json] = placed as [number, ReplicaId, unknown]
      return { ...operationOf(json), version, replicaId }
    })
  }
}

const parsedJson = function* (payload: Uint8Array): Steps<unknown> {
  try {
    return yield* parsed(Buffer.from(payload.buffer, payload.byteOffset, payload.length))
  } catch (cause) {
    throw new PayloadDamaged("The payload is not JSON", { cause })
  }
}

/** The payload of an `OperationsMerged`: entities, and how many of the oldest operations of each were merged. */
export type Merged = readonly [oid: string, operations: number]

export const encodeMerged = (merged: ReadonlyArray<Merged>): Uint8Array => Buffer.from(JSON.stringify(merged))

/** Throws `PayloadDamaged` when the payload is not one of an `OperationsMerged`. */
export const decodeMerged = (payload: Uint8Array): ReadonlyArray<Merged> => {
  const merged = parseJson(payload)
  if (!Array.isArray(merged) || !merged.every(isMerged)) throw notOfALibrary()
  return merged
}

const isMerged = (item: unknown): item is Merged =>
  Array.isArray(item) && isOid(item[0]) && Number.isSafeInteger(item[1]) && item[1] > 0

/** The payload of a `CheckpointPart`: any part of a library. Absent: nothing of that kind. */
export interface LibraryPart {
  readonly replicas?: ReadonlyArray<unknown>
  readonly formerReplicas?: ReadonlyArray<readonly [ReplicaId, string]>
  readonly files?: ReadonlyArray<unknown>
  readonly formerFiles?: ReadonlyArray<readonly [FileId, string]>
  readonly baselines?: ReadonlyArray<StoredBaseline>
  /** Operations of one event and replica. A batch may go on in the next part. */
  readonly batches?: ReadonlyArray<{
    readonly version: number
    readonly replicaId: ReplicaId
    readonly operations: ReadonlyArray<OwnedOperation>
  }>
  /** The authors of the references to files, which come after all baselines and operations. */
  readonly fileReferences?: ReadonlyArray<StoredReferences>
}

/** The fields of a part, each with the JSON of its items. */
export const encodePart = (fields: ReadonlyMap<keyof LibraryPart, ReadonlyArray<string>>): Uint8Array =>
  Buffer.from(`{${Array.from(fields, ([field, items]) => `"${field}":[${items.join()}]`).join()}}`)

/** A batch in a part. */
export const batchText = (
  { replicaId, version }: { readonly version: number; readonly replicaId: ReplicaId },
  operations: ReadonlyArray<{ readonly text: string }>
): string => `[${version},"${replicaId}",[${textsOf(operations)}]]`

/** Throws `PayloadDamaged` when the payload is not one of a `CheckpointPart`. */
export const decodePart = (payload: Uint8Array): LibraryPart => {
  const json = parseJson(payload)
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw notOfALibrary()
  const { baselines, batches, ...rest } = json as Readonly<Record<string, unknown>>
  for (const items of [baselines, batches, ...Object.values(rest)]) {
    if (items !== undefined && !Array.isArray(items)) throw notOfALibrary()
  }
  return {
    ...(rest as unknown as Omit<LibraryPart, "baselines" | "batches">),
    ...(baselines !== undefined && { baselines: (baselines as ReadonlyArray<unknown>).map(baselineOf) }),
    ...(batches !== undefined && {
      batches: (batches as ReadonlyArray<unknown>).map((batch) => {
        if (!Array.isArray(batch) || !Array.isArray(batch[2])) throw notOfALibrary()
        const [version, replicaId, operations] = batch as [number, ReplicaId, ReadonlyArray<unknown>]
        return { version, replicaId, operations: operations.map(operationOf) }
      })
    })
  }
}

interface Json extends Readonly<Record<string, unknown>> {
  readonly operations: ReadonlyArray<unknown>
  readonly baselines: ReadonlyArray<unknown>
}

const parseJson = (payload: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString())
  } catch (cause) {
    throw new PayloadDamaged("The payload is not JSON", { cause })
  }
}

const parse = (payload: Uint8Array): Json => itemsIn(parseJson(payload))

const itemsIn = (value: unknown): Json => {
  const json = value as Partial<Json> | null
  if (!Array.isArray(json?.operations) || !Array.isArray(json.baselines)) throw notOfALibrary()
  return json as Json
}

const notOfALibrary = () => new PayloadDamaged("The payload has not the fields of a library's event")

const readOrThrow = <A>(read: Result.Result<A, Malformed>): A =>
  Result.getOrThrowWith(
    read,
    ({ field }) => new PayloadDamaged(`The payload has an operation or a baseline with a malformed ${field}`)
  )

const operationOf = (json: unknown): OwnedOperation => {
  const operation = readOrThrow(readOperation(json))
  return { ...operation, owner: ownerOf(operation.authz) }
}

const baselineOf = (json: unknown): StoredBaseline => storedBaseline(readOrThrow(readBaseline(json)))

const textsOf = (items: ReadonlyArray<{ readonly text: string }>): string => items.map(({ text }) => text).join()
