/** RFC 8785 canonical JSON: one text for one value, whatever the order of its keys. */
import canonicalize from "canonicalize"

/** Returns the canonical text. Throws for values that JSON cannot hold: infinite numbers, NaN, lone surrogates. */
export const canonicalJson = (value: object): string => flatJson(value) ?? (canonicalize(value) as string)

/** True when two values have the same canonical JSON. Makes the JSON only if their fields are not identical. */
export const isSameJson = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean => {
  const keys = Object.keys(a)
  return (
    (keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])) ||
    canonicalJson(a) === canonicalJson(b)
  )
}

/** Fast path for an object without nested values, as most are: `JSON.stringify` of each field is canonical already. */
const flatJson = (value: object): string | undefined => {
  if (Array.isArray(value) || "toJSON" in value) return undefined
  const fields = value as Readonly<Record<string, unknown>>
  const keys = Object.keys(fields)
  let isSorted = true
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!
    if (!key.isWellFormed() || !isFlat(fields[key])) return undefined
    if (i > 0 && keys[i - 1]! > key) isSorted = false
  }
  if (isSorted) return JSON.stringify(fields)
  let text = ""
  for (const key of keys.sort()) {
    text += `${text === "" ? "{" : ","}${JSON.stringify(key)}:${JSON.stringify(fields[key])}`
  }
  return `${text}}`
}

const isFlat = (field: unknown): boolean => {
  switch (typeof field) {
    case "string":
      return field.isWellFormed()
    case "number":
      return Number.isFinite(field)
    case "boolean":
      return true
    default:
      return field === null
  }
}
