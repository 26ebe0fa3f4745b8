/** RFC 8785 canonical JSON: one text for one value, whatever order its keys came in. */
import canonicalize from "canonicalize"

export const canonicalJson = (value: object): string => flatJson(value) ?? (canonicalize(value) as string)

/** Whether two values have the same canonical JSON, which is not made where they visibly hold the same. */
export const isSameJson = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean => {
  const keys = Object.keys(a)
  return (
    (keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])) ||
    canonicalJson(a) === canonicalJson(b)
  )
}

/** Of an object of nothing but text, numbers, true, false and null, as most are: for these JSON's own text is canonical. */
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
