/** RFC 8785 canonical JSON: one text for one value, whatever order its keys came in. */
import canonicalize from "canonicalize"

export const canonicalJson = (value: object): string => flatJson(value) ?? (canonicalize(value) as string)

/** Of an object of nothing but text, numbers, true, false and null, as most are: for these JSON's own text is canonical. */
const flatJson = (value: object): string | undefined => {
  if (Array.isArray(value) || "toJSON" in value) return undefined
  let text = ""
  for (const key of Object.keys(value).sort()) {
    const field: unknown = (value as Readonly<Record<string, unknown>>)[key]
    if (!key.isWellFormed() || !isFlat(field)) return undefined
    text += `${text === "" ? "{" : ","}${JSON.stringify(key)}:${JSON.stringify(field)}`
  }
  return text === "" ? "{}" : `${text}}`
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
