/** What parsed JSON must be for everything after to take it apart by recursion and rebuild it field by field. */

/** Entities hold references where there is depth in a document, so theirs is two; `initialize` may be given more. */
const MAX_DEPTH = 32

/**
 * No deeper than that, no key `__proto__`, and no number that is infinite by its exponent and would be written as null. No
 * client sends any of these: its own JSON has no infinity, and assigning `__proto__` makes no field.
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
