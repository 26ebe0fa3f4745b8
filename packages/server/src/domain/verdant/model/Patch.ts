/**
 * A patch: the change that an operation makes to one entity. An entity is an object or a list; objects and lists in it are
 * entities of their own, and stand in it as references.
 *
 * Patches are applied as `@verdant-web/common` 3.2.2 applies them on every client, quirks included. If the server compacted
 * in another way, new clients would see other data than old ones. Where a client would throw, a patch has no effect.
 */

/** The content of an entity: any JSON; undefined when the entity does not exist. */
export type Entity = unknown

/** A position. It is null or absent if the author's was NaN, which JSON cannot write; it then counts as 0, as it did there. */
type Index = number | null | undefined

export type Patch =
  /** Creates the entity, or replaces it; also one that was deleted. */
  | { readonly op: "initialize"; readonly value?: unknown }
  | { readonly op: "set"; readonly name: string | number; readonly value?: unknown }
  | { readonly op: "remove"; readonly name: string | number }
  | { readonly op: "delete" }
  | { readonly op: "touch" }
  | { readonly op: "list-set"; readonly index?: Index; readonly value?: unknown }
  | { readonly op: "list-push"; readonly value?: unknown }
  | {
      readonly op: "list-insert"
      readonly index?: Index
      readonly value?: unknown
      readonly values?: ReadonlyArray<unknown> | null
    }
  | { readonly op: "list-delete"; readonly index?: Index; readonly count?: Index }
  | { readonly op: "list-move-by-index"; readonly from?: Index; readonly to?: Index }
  | { readonly op: "list-move-by-ref"; readonly value?: unknown; readonly index?: Index }
  | { readonly op: "list-remove"; readonly value?: unknown; readonly only?: "first" | "last" | null }
  | { readonly op: "list-add"; readonly value?: unknown }

// ---------------------------------------------------------------------------------------------------------- shape

const MAX_NAME_LENGTH = 4096

/**
 * Whether parsed JSON is a patch. Checks only the fields that decide its effect; `decodeOperation` checks size and depth.
 * Hand-written, because every operation comes through here.
 */
export const isPatch = (value: unknown): value is Patch => {
  if (typeof value !== "object" || value === null) return false
  const patch = value as Readonly<Record<string, unknown>>
  switch (patch["op"]) {
    case "set":
    case "remove":
      return isName(patch["name"])
    case "initialize":
    case "delete":
    case "touch":
    case "list-push":
    case "list-add":
      return true
    case "list-set":
    case "list-move-by-ref":
      return isIndex(patch["index"])
    case "list-insert":
      return isIndex(patch["index"]) && isListOrNone(patch["values"])
    case "list-delete":
      return isIndex(patch["index"]) && isIndex(patch["count"])
    case "list-move-by-index":
      return isIndex(patch["from"]) && isIndex(patch["to"])
    case "list-remove":
      return isOnly(patch["only"])
    default:
      return false
  }
}

const isName = (value: unknown): boolean =>
  typeof value === "string" ? value.length <= MAX_NAME_LENGTH : Number.isFinite(value)

const isIndex = (value: unknown): boolean => value === undefined || value === null || Number.isFinite(value)

const isListOrNone = (value: unknown): boolean => value === undefined || value === null || Array.isArray(value)

const isOnly = (value: unknown): boolean =>
  value === undefined || value === null || value === "first" || value === "last"

// ---------------------------------------------------------------------------------------------------------- effect

/** The entity after the patch. The given entity stays unchanged. */
export const applyPatch = (entity: Entity, patch: Patch): Entity => applyInPlace(copyOf(entity), patch)

/** A shallow copy for `applyInPlace`. Shallow is enough: a patch changes an entity's items, never the insides of an item. */
export const copyOf = (entity: Entity): Entity => {
  if (typeof entity !== "object" || entity === null) return entity
  return Array.isArray(entity) ? entity.slice() : { ...entity }
}

/** Applies a patch to the entity itself, which must be the caller's own copy, so that many patches need only one copy. */
export const applyInPlace = (entity: Entity, patch: Patch): Entity => {
  if (patch.op === "initialize") return copyOf(patch.value)
  if (entity === undefined || entity === null) return entity
  switch (patch.op) {
    case "delete":
      return undefined
    case "set":
      return Array.isArray(entity)
        ? setItem(entity, patch.name, patch.value)
        : setField(entity, patch.name, patch.value)
    case "remove":
      return Array.isArray(entity) ? removeItem(entity, patch.name) : setField(entity, patch.name, undefined)
    case "touch":
      return entity
    default:
      return Array.isArray(entity) ? applyToList(entity, patch) : entity
  }
}

type ListPatch = Extract<Patch, { readonly op: `list-${string}` }>
type List = Array<unknown>

const applyToList = (list: List, patch: ListPatch): List => {
  switch (patch.op) {
    case "list-set":
      return setItem(list, patch.index ?? -1, patch.value)
    case "list-push":
      return push(list, patch.value)
    case "list-insert":
      return insert(list, patch.index ?? 0, patch.value ? [patch.value] : (patch.values ?? []))
    case "list-delete":
      list.splice(patch.index ?? 0, patch.count ?? 0)
      return list
    case "list-move-by-index":
      return move(list, patch.from ?? 0, patch.to ?? 0)
    case "list-move-by-ref":
      // If the item is not found, the index is -1, which moves the last item: clients do the same.
      return move(list, firstOf(list, patch.value), patch.index ?? 0)
    case "list-remove":
      // A client removes the gaps that a move left, which it holds as undefined and JSON writes as null.
      return removeFrom(list, patch.value ?? null, patch.only)
    case "list-add":
      // A file that is in the list already is added again.
      return !isFile(patch.value) && firstOf(list, patch.value ?? null) !== -1 ? list : push(list, patch.value)
  }
}

/** Sets a field, or removes it when there is no value, as JSON does. No object of a client has a field `__proto__`. */
const setField = (entity: Entity, name: string | number, value: unknown): Entity => {
  if (typeof entity !== "object" || entity === null || name === "__proto__") return entity
  const fields = entity as Record<string | number, unknown>
  if (value === undefined) delete fields[name]
  else fields[name] = value
  return entity
}

/**
 * The holes that clients may open in a list by setting items past its end. JSON writes each as null. A patch of a few bytes
 * would otherwise grow a list without limit. See `EntitySize`, which refuses operations that open more.
 */
export const MAX_HOLES = 10_000

/** Sets an item. A name that is no index has no effect: a client sets a property then, which is not in its JSON. */
const setItem = (list: List, name: string | number, value: unknown): List => {
  const index = itemIndex(name)
  if (index === undefined || index > list.length + MAX_HOLES) return list
  while (list.length < index) list.push(null)
  list[index] = value ?? null
  return list
}

const removeItem = (list: List, name: string | number): List => {
  const index = itemIndex(name)
  if (index !== undefined && index < list.length) list[index] = null
  return list
}

/** The index that a name stands for; undefined: it is none. */
export const itemIndex = (name: string | number): number | undefined => {
  const index = Number(name)
  return Number.isSafeInteger(index) && index >= 0 && String(index) === String(name) ? index : undefined
}

const push = (list: List, value: unknown): List => {
  list.push(value ?? null)
  return list
}

/** More arguments of a call may overflow the stack. */
const MAX_ARGUMENTS = 10_000

const insert = (list: List, index: number, values: ReadonlyArray<unknown>): List => {
  if (values.length > MAX_ARGUMENTS) return list.slice(0, index).concat(values, list.slice(index))
  list.splice(index, 0, ...values)
  return list
}

/** Moves an item. If there is none at `from`, it inserts null: clients do the same. */
const move = (list: List, from: number, to: number): List => {
  const [item = null] = list.splice(from, 1)
  list.splice(to, 0, item)
  return list
}

const removeFrom = (list: List, value: unknown, only: "first" | "last" | null | undefined): List => {
  const index = only === "last" ? list.findLastIndex(isSame(value)) : firstOf(list, value)
  if (index === -1) return list
  if (only === "first" || only === "last") {
    list.splice(index, 1)
    return list
  }
  const isMeant = isRef(value) ? isSame(value) : undefined
  let end = index
  for (let i = index + 1; i < list.length; i++) {
    const item = list[i]
    if (isMeant === undefined ? item !== value : !isMeant(item)) list[end++] = item
  }
  list.length = end
  return list
}

/** Index of the first item that is the same; -1: there is none. The engine searches for primitive values much faster. */
const firstOf = (list: List, value: unknown): number =>
  isRef(value) ? list.findIndex(isSame(value)) : typeof value === "object" && value !== null ? -1 : list.indexOf(value)

// ---------------------------------------------------------------------------------------------------------- items

export interface Ref {
  readonly "@@type": "ref" | "file"
  readonly id?: unknown
  /** The file's description in its document. */
  readonly alt?: unknown
}

export const isRef = (value: unknown): value is Ref => {
  if (typeof value !== "object" || value === null) return false
  const type = (value as Readonly<Record<string, unknown>>)["@@type"]
  return type === "ref" || type === "file"
}

/** Compares by value, and references by type and id. Other objects are never the same: JSON keeps no identity. */
const isSame = (value: unknown): ((item: unknown) => boolean) => {
  if (isRef(value))
    return (item) => isRef(item) && item["@@type"] === value["@@type"] && isSamePrimitive(item.id, value.id)
  return (item) => isSamePrimitive(item, value)
}

const isFile = (value: unknown): boolean => isRef(value) && value["@@type"] === "file"

const isSamePrimitive = (a: unknown, b: unknown): boolean => a === b && (typeof a !== "object" || a === null)
