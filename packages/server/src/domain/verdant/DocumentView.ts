/** A whole document as an app sees it, put together from its parts. */
import { valueOf } from "./Folding.ts"
import { isPlainObject, isRef, type Json } from "./Json.ts"
import { entityOf, type LibraryState } from "./Library.ts"

/** Parts of parts that are followed; a document that refers to itself ends there. */
const MAX_DEPTH = 64

/** undefined: there is no such document. `fileOf`: what stands for a file. */
export const viewDocument = (
  state: LibraryState,
  oid: string,
  fileOf: (fileId: string) => Json,
  depth = MAX_DEPTH
): Json | undefined => {
  const entity = entityOf(state, oid)
  const value = entity === undefined ? undefined : valueOf(entity)
  const resolve = (value: Json, depth: number): Json => {
    if (isRef(value, "file")) return fileOf(String(value["id"]))
    if (isRef(value, "ref"))
      return depth === 0 ? null : (viewDocument(state, String(value["id"]), fileOf, depth - 1) ?? null)
    if (depth === 0) return null
    if (Array.isArray(value)) return value.map((item) => resolve(item, depth - 1))
    if (!isPlainObject(value)) return value
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, resolve(field, depth - 1)]))
  }
  return value === undefined ? undefined : resolve(value, depth)
}
