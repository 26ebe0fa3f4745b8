/** Encodes and decodes the payloads of a library's events: JSON with operations and baselines as clients sent them. */
import { Result } from "effect"
import type { ReplicaId } from "../Events.ts"
import type { StoredReferences } from "../FileReferences.ts"
import type { Authz } from "./Authz.ts"
import { type Baseline, readBaseline } from "./Baseline.ts"
import { listSizeOf } from "./EntitySize.ts"
import type { Oid } from "./Oid.ts"
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
  /** The authors of references to files. Absent: there is no reference, or an older server wrote it. */
  readonly fileReferences?: ReadonlyArray<StoredReferences>
  readonly baselines: ReadonlyArray<StoredBaseline>
  readonly operations: ReadonlyArray<StoredOperation>
}

export const storedBaseline = ({ oid, timestamp, authz, snapshot, text }: Baseline): StoredBaseline => {
  const list = listSizeOf(snapshot)
  const stored = { oid, timestamp, text, owner: ownerOf(authz) }
  return list === undefined ? stored : { ...stored, list }
}

/** Payloads that this process encoded, so that it need not decode them. */
const known = new WeakMap<Uint8Array, Items>()

export const encodeItems = (items: Items): Uint8Array => {
  const [operations, baselines] = [textsOf(items.operations), textsOf(items.baselines)]
  const payload = Buffer.from(`{"operations":[${operations}],"baselines":[${baselines}]}`)
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

/** The items of an `OperationsStored` in the protocol's shape. Throws as `decodeItems` does. */
export const decodeSent = (
  payload: Uint8Array
): { readonly operations: ReadonlyArray<SentOperation>; readonly baselines: ReadonlyArray<SentBaseline> } => {
  const { operations, baselines } = parse(payload)
  return {
    operations: operations.map((json) => {
      const { authz, oid, patch, timestamp } = readOrThrow(readOperation(json))
      return { oid, timestamp, ...(authz && { authz }), data: patch }
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
export const decodeFolded = (payload: Uint8Array): FoldedLibrary => {
  const found = knownFolded.get(payload)
  if (found !== undefined) return found
  const { operations, baselines, ...rest } = parse(payload)
  if (!Array.isArray(rest["replicas"]) || !Array.isArray(rest["files"])) throw notOfALibrary()
  return {
    ...(rest as unknown as Omit<FoldedLibrary, "operations" | "baselines">),
    baselines: baselines.map(baselineOf),
    operations: operations.map((placed) => {
      if (!Array.isArray(placed)) throw notOfALibrary()
      const [version, replicaId, json] = placed as [number, ReplicaId, unknown]
      return { ...operationOf(json), version, replicaId }
    })
  }
}

interface Json extends Readonly<Record<string, unknown>> {
  readonly operations: ReadonlyArray<unknown>
  readonly baselines: ReadonlyArray<unknown>
}

const parse = (payload: Uint8Array): Json => {
  let json: Partial<Json> | null
  try {
    json = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString())
  } catch (cause) {
    throw new PayloadDamaged("The payload is not JSON", { cause })
  }
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
