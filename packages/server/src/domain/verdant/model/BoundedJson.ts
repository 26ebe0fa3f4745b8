/** Bounds parsed JSON, so that later code can walk it by recursion and copy it field by field. */

/** More than any client needs: nested objects of a document are entities of their own, so an entity is about two deep. */
const MAX_DEPTH = 32

/**
 * Whether a value is at most `depth` deep, and has no key `__proto__` and no infinite number, which would be written as
 * null. Clients send none of these: their own JSON has no infinity, and assigning `__proto__` makes no field.
 */
export const isBoundedJson = (value: unknown, depth = MAX_DEPTH): boolean => {
  if (typeof value !== "object" || value === null) return typeof value !== "number" || Number.isFinite(value)
  if (depth === 0) return false
  if (Array.isArray(value)) {
    for (const item of value) if (!isBoundedJson(item, depth - 1)) return false
    return true
  }
  for (const key in value) {
    if (key === "__proto__" || !isBoundedJson((value as Record<string, unknown>)[key], depth - 1)) return false
  }
  return true
}
