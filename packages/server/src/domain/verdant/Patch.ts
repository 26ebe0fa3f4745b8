/**
 * What operations do to an entity, exactly as Verdant's clients do it, so that what the server folds is what they see. The
 * clients' own code changes what it is given and throws at what it does not know; here both may come from anybody.
 */
import { isPlainObject, isRef, isSame, type Json, type JsonObject } from "./Json.ts"

/** A patch whose fields were checked: see `isPatch`. */
export type Patch =
  | { readonly op: "initialize"; readonly value: Json }
  | { readonly op: "set"; readonly name: string | number; readonly value: Json }
  | { readonly op: "remove"; readonly name: string | number }
  | { readonly op: "delete" | "touch" }
  | { readonly op: "list-set"; readonly index: number; readonly value: Json }
  | { readonly op: "list-push" | "list-add"; readonly value: Json }
  | {
      readonly op: "list-insert"
      readonly index: number
      readonly value?: Json
      readonly values?: ReadonlyArray<Json>
    }
  | { readonly op: "list-delete"; readonly index: number; readonly count: number }
  | { readonly op: "list-move-by-index"; readonly from: number; readonly to: number }
  | { readonly op: "list-move-by-ref"; readonly index: number; readonly value: Json }
  | { readonly op: "list-remove"; readonly value: Json; readonly only?: "first" | "last" }

/** Whether a client's value is a patch, as far as applying it needs. */
export const isPatch = (value: unknown): value is Patch => {
  if (!isPlainObject(value)) return false
  const { op } = value
  switch (op) {
    case "initialize":
    case "list-push":
    case "list-add":
    case "list-remove":
      return "value" in value
    case "set":
      return isName(value["name"])
    case "remove":
      return isName(value["name"])
    case "delete":
    case "touch":
      return true
    case "list-set":
    case "list-move-by-ref":
      return isIndex(value["index"])
    case "list-insert":
      return isIndex(value["index"]) && (value["values"] === undefined || Array.isArray(value["values"]))
    case "list-delete":
      return isIndex(value["index"]) && isIndex(value["count"])
    case "list-move-by-index":
      return isIndex(value["from"]) && isIndex(value["to"])
    default:
      return false
  }
}

const isName = (value: unknown): boolean => typeof value === "string" || isIndex(value)
const isIndex = (value: unknown): boolean => Number.isSafeInteger(value)

/** The entity after a patch; undefined when it is deleted. What it was before is left as it is. */
export const applyPatch = (before: Json | undefined, patch: Patch): Json | undefined => {
  if (patch.op === "initialize") return patch.value
  // What was deleted stays deleted, whatever was still done to it elsewhere.
  if (before === undefined || before === null) return before
  switch (patch.op) {
    case "delete":
      return undefined
    case "touch":
      return before
    case "set":
      return withField(before, patch.name, patch.value)
    case "remove":
      return withField(before, patch.name, undefined)
    default:
      return Array.isArray(before) ? applyToList(before, patch) : before
  }
}

const withField = (before: Json, name: string | number, value: Json | undefined): Json => {
  if (Array.isArray(before)) {
    const list = [...before]
    // A client can make a list as long as its index says; nobody else has to.
    if (Number.isSafeInteger(Number(name)) && Number(name) >= 0 && Number(name) < MAX_INDEX && value !== undefined) {
      list[Number(name)] = value
    }
    return list
  }
  if (!isPlainObject(before)) return before
  // Defined and not assigned: `__proto__` is a name like any other.
  const after = Object.defineProperties({}, Object.getOwnPropertyDescriptors(before)) as JsonObject
  if (value === undefined) delete after[name]
  else Object.defineProperty(after, name, { value, enumerable: true, configurable: true, writable: true })
  return after
}

const MAX_INDEX = 1_000_000

type ListPatch = Exclude<Patch, { readonly op: "initialize" | "delete" | "touch" | "set" | "remove" }>

const applyToList = (before: ReadonlyArray<Json>, patch: ListPatch): Json => {
  const list = [...before]
  switch (patch.op) {
    case "list-set":
      if (patch.index < MAX_INDEX && patch.index >= 0) list[patch.index] = patch.value
      return list
    case "list-push":
      list.push(patch.value)
      return list
    case "list-add":
      // A file is always another one, as clients see it.
      if (!list.some((item) => item === patch.value || (isRef(item, "ref") && isSame(item, patch.value))))
        list.push(patch.value)
      return list
    case "list-insert":
      // As clients do: a value of 0, false or "" counts as none.
      if (patch.value) list.splice(patch.index, 0, patch.value)
      else list.splice(patch.index, 0, ...(patch.values ?? []))
      return list
    case "list-delete":
      list.splice(patch.index, patch.count)
      return list
    case "list-move-by-index":
      return moved(list, patch.from, patch.to)
    case "list-move-by-ref":
      // As clients do: of a value that is not there, the last one is moved.
      return moved(
        list,
        list.findIndex((item) => isSame(item, patch.value)),
        patch.index
      )
    case "list-remove": {
      const { only, value } = patch
      // By the id alone where the value is a reference to an object, as clients do.
      const matches = (item: Json) =>
        isRef(value, "ref") ? isPlainObject(item) && item["id"] === value["id"] : item === value
      if (only === undefined) return list.filter((item) => !matches(item))
      const index = only === "last" ? list.findLastIndex(matches) : list.findIndex(matches)
      if (index !== -1) list.splice(index, 1)
      return list
    }
  }
}

const moved = (list: Array<Json>, from: number, to: number): Json => {
  const [item] = list.splice(from, 1)
  if (item !== undefined) list.splice(to, 0, item)
  return list
}
