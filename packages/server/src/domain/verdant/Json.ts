/** JSON values, and Verdant's references among them. */

export type Json = string | number | boolean | null | ReadonlyArray<Json> | JsonObject
export type JsonObject = { [key: string | number]: Json }

export const isPlainObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** `{"@@type":"ref"|"file","id":…}` */
export const isRef = (value: unknown, type?: "ref" | "file"): value is JsonObject => {
  if (!isPlainObject(value)) return false
  const found = value["@@type"]
  return (type === undefined ? found === "ref" || found === "file" : found === type) && typeof value["id"] === "string"
}

/** The same value, or references to the same thing. */
export const isSame = (a: Json, b: Json): boolean =>
  a === b || (isRef(a) && isRef(b) && a["@@type"] === b["@@type"] && a["id"] === b["id"])
