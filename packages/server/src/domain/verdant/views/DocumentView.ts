/** A document as an app sees it: every reference is replaced by the object or list that it refers to. */
import { Result } from "effect"
import { isOid, type Oid, rootOf } from "../model/Oid.ts"
import { type Entity, isRef, type Ref } from "../model/Patch.ts"

export interface ViewSource {
  /** The content of an entity; undefined when it does not exist, or the reader must not see it. */
  readonly entity: (oid: Oid) => Entity
  /** The value that stands for a file. */
  readonly file: (ref: Ref) => unknown
  /** The largest view, in characters of JSON, roughly. A small document that repeats references can have a huge view. */
  readonly maxSize?: number
}

export interface ViewTooLarge {
  readonly _tag: "ViewTooLarge"
}

const MAX_DEPTH = 100
const MAX_SIZE = 32 * 1024 * 1024
/** Characters that any value counts, for its memory and time; most are shorter in JSON. */
const VALUE_SIZE = 16
/** Characters that a file counts, besides its description. */
const FILE_SIZE = 256

/**
 * The view of a document; undefined when there is no such document. A reference fails if its entity does not exist, is part
 * of another document, or contains the reference. As on clients, it then gives null in an object, and no item in a list.
 */
export const documentView = (root: Oid, source: ViewSource): Result.Result<unknown, ViewTooLarge> => {
  const { entity, file, maxSize = MAX_SIZE } = source
  const above = new Set<Oid>()
  let size = 0

  const view = (value: unknown, depth: number): unknown => {
    size += depth > MAX_DEPTH ? Number.POSITIVE_INFINITY : sizeOf(value)
    if (size > maxSize) return undefined
    if (isRef(value)) return value["@@type"] === "file" ? file(value) : target(value.id, depth + 1)
    if (typeof value !== "object" || value === null) return value
    if (Array.isArray(value)) return listView(value, depth + 1)
    const fields: Record<string, unknown> = {}
    for (const [key, field] of Object.entries(value)) {
      if (key === "__proto__") continue
      size += key.length
      fields[key] = view(field, depth + 1) ?? null
    }
    return fields
  }

  const listView = (list: ReadonlyArray<unknown>, depth: number): ReadonlyArray<unknown> =>
    list.flatMap((item) => {
      const seen = view(item, depth)
      return seen === undefined ? [] : [seen]
    })

  const target = (oid: unknown, depth: number): unknown => {
    if (!isOid(oid) || rootOf(oid) !== root || above.has(oid)) return undefined
    above.add(oid)
    const seen = view(entity(oid), depth)
    above.delete(oid)
    return seen
  }

  const seen = target(root, 0)
  return size > maxSize ? Result.fail({ _tag: "ViewTooLarge" }) : Result.succeed(seen)
}

const sizeOf = (value: unknown): number => {
  if (typeof value === "string") return value.length + VALUE_SIZE
  if (!isRef(value) || value["@@type"] !== "file") return VALUE_SIZE
  return FILE_SIZE + (typeof value.alt === "string" ? value.alt.length : 0)
}
