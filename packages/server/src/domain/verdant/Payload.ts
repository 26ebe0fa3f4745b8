/** The payloads of a library's events: JSON that holds what clients sent as they sent it. */
import { Option } from "effect"
import { ownerOf } from "./Authz.ts"
import type { ReplicaId } from "./Events.ts"
import type { Baseline, Operation, StoredOperation } from "./Items.ts"

/** What an `OperationsStored` brings. */
export interface Items {
  readonly operations: ReadonlyArray<Operation>
  readonly baselines: ReadonlyArray<Baseline>
}

/** A whole library, as a `Folded` holds it. */
export interface FoldedLibrary {
  readonly watermark: string | null
  readonly foldedUpTo: number
  readonly replicas: ReadonlyArray<unknown>
  readonly files: ReadonlyArray<unknown>
  readonly baselines: ReadonlyArray<Baseline>
  readonly operations: ReadonlyArray<StoredOperation>
}

const known = new WeakMap<Uint8Array, Items>()

/** What was just encoded need not be read again. */
export const encodeItems = (items: Items): Uint8Array => {
  const [operations, baselines] = [textsOf(items.operations), textsOf(items.baselines)]
  const payload = Buffer.from(`{"operations":[${operations}],"baselines":[${baselines}]}`)
  known.set(payload, items)
  return payload
}

/** Throws when the payload is none of ours. */
export const decodeItems = (payload: Uint8Array): Items => {
  const found = known.get(payload)
  if (found !== undefined) return found
  const { operations, baselines } = parse(payload)
  return { operations: operations.map(operationOf), baselines: baselines.map(baselineOf) }
}

export const encodeFolded = ({ operations, baselines, ...rest }: FoldedLibrary): Uint8Array => {
  const placed = operations.map(({ version, replicaId, text }) => `[${version},"${replicaId}",${text}]`).join()
  const fields = JSON.stringify(rest).slice(0, -1)
  return Buffer.from(`${fields},"operations":[${placed}],"baselines":[${textsOf(baselines)}]}`)
}

/** Throws when the payload is none of ours. */
export const decodeFolded = (payload: Uint8Array): FoldedLibrary => {
  const { operations, baselines, ...rest } = parse(payload)
  return {
    ...(rest as Omit<FoldedLibrary, "operations" | "baselines">),
    baselines: baselines.map(baselineOf),
    operations: (operations as unknown as ReadonlyArray<readonly [number, ReplicaId, OperationJson]>).map(
      ([version, replicaId, json]) => ({ ...operationOf(json), version, replicaId })
    )
  }
}

interface OperationJson {
  readonly oid: string
  readonly timestamp: string
  readonly data: { readonly op: string }
  readonly authz?: string
}

interface BaselineJson {
  readonly oid: string
  readonly timestamp: string
  readonly snapshot: unknown
  readonly authz?: string
}

const parse = (payload: Uint8Array) =>
  JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString()) as {
    readonly operations: ReadonlyArray<OperationJson>
    readonly baselines: ReadonlyArray<BaselineJson>
  } & Record<string, unknown>

const operationOf = (json: OperationJson): Operation => ({
  oid: json.oid,
  timestamp: json.timestamp,
  owner: readOwner(json.authz),
  isInitialize: json.data.op === "initialize",
  text: JSON.stringify(json)
})

const baselineOf = (json: BaselineJson): Baseline => ({
  oid: json.oid,
  timestamp: json.timestamp,
  owner: readOwner(json.authz),
  text: JSON.stringify(json)
})

const readOwner = (authz: string | undefined): string | null =>
  authz === undefined ? null : Option.getOrThrow(ownerOf(authz))

const textsOf = (items: ReadonlyArray<{ readonly text: string }>): string => items.map(({ text }) => text).join()
