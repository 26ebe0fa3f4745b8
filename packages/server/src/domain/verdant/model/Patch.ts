/**
 * What an operation does to one entity: an object or a list, whose own objects and lists are entities of their own and
 * stand in it as references. Applied as `@verdant-web/common` 3.2.2 applies it on every client, quirks included, for a
 * server that folds otherwise than its clients gives new ones something else than what the old ones see. Where a client
 * would throw, nothing happens.
 */

/** Any JSON. An entity that does not exist is undefined. */
export type Entity = unknown

/** A number, but null or absent where the author's own was not one: JSON has no NaN. Then 0, as for the author. */
type Index = number | null | undefined

export type Patch =
  /** Makes the entity, also one that was deleted. */
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
 * Whether parsed JSON is a patch. Of what it carries, only what decides its effect is looked at: size and depth are the
 * operation's to check. Hand-written, because it judges every operation.
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

/** The entity after the patch; the one before stays as it was. */
export const applyPatch = (entity: Entity, patch: Patch): Entity => applyInPlace(copyOf(entity), patch)

/** A copy that `applyInPlace` may change: patches change an entity, never what is in it. */
export const copyOf = (entity: Entity): Entity => {
  if (typeof entity !== "object" || entity === null) return entity
  return Array.isArray(entity) ? entity.slice() : { ...entity }
}

/** The same, but changes the entity, which must be the caller's own copy: to fold many operations takes no more than one. */
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
      // Not found is -1, which moves the last item: clients do the same.
      return move(list, list.findIndex(isSame(patch.value)), patch.index ?? 0)
    case "list-remove":
      return removeFrom(list, patch.value, patch.only)
    case "list-add":
      return list.some(isSameOrEntity(patch.value)) ? list : push(list, patch.value)
  }
}

/** What has no value has none in JSON either; `__proto__` is no field of any object that a client holds. */
const setField = (entity: Entity, name: string | number, value: unknown): Entity => {
  if (typeof entity !== "object" || entity === null || name === "__proto__") return entity
  const fields = entity as Record<string | number, unknown>
  if (value === undefined) delete fields[name]
  else fields[name] = value
  return entity
}

/**
 * How far past its end an item of a list can be set. A client has holes between, any number of them, which JSON writes as
 * null; here a few bytes must not grow to as many as they like.
 */
const MAX_HOLES = 1000

/** Of a list only its items are its data: what a client sets under another name is gone from its JSON. */
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

const itemIndex = (name: string | number): number | undefined => {
  const index = Number(name)
  return Number.isSafeInteger(index) && index >= 0 && String(index) === String(name) ? index : undefined
}

const push = (list: List, value: unknown): List => {
  list.push(value ?? null)
  return list
}

/** Not by `splice(...values)`: a long enough list of arguments overflows the stack. */
const insert = (list: List, index: number, values: ReadonlyArray<unknown>): List => {
  if (values.length === 0) return list
  if (values.length > 1) return list.slice(0, index).concat(values, list.slice(index))
  list.splice(index, 0, values[0])
  return list
}

/** From where nothing is, nothing is moved, and that is an item too: clients do the same. */
const move = (list: List, from: number, to: number): List => {
  const [item = null] = list.splice(from, 1)
  list.splice(to, 0, item)
  return list
}

const removeFrom = (list: List, value: unknown, only: "first" | "last" | null | undefined): List => {
  const isMeant = isSame(value)
  if (only !== "first" && only !== "last") return list.filter((item) => !isMeant(item))
  const index = only === "first" ? list.findIndex(isMeant) : list.findLastIndex(isMeant)
  if (index !== -1) list.splice(index, 1)
  return list
}

// ---------------------------------------------------------------------------------------------------------- items

export interface Ref {
  readonly "@@type": "ref" | "file"
  readonly id?: unknown
  /** Of a file: what its document says of it. */
  readonly alt?: unknown
}

export const isRef = (value: unknown): value is Ref => {
  if (typeof value !== "object" || value === null) return false
  const type = (value as Readonly<Record<string, unknown>>)["@@type"]
  return type === "ref" || type === "file"
}

/** References to the same are the same; other objects have no identity that would outlive JSON. */
const isSame = (value: unknown): ((item: unknown) => boolean) => {
  if (isRef(value))
    return (item) => isRef(item) && item["@@type"] === value["@@type"] && isSamePrimitive(item.id, value.id)
  return (item) => isSamePrimitive(item, value)
}

/** As `list-add` compares: a file that is in the list is added again. */
const isSameOrEntity = (value: unknown): ((item: unknown) => boolean) =>
  isRef(value) && value["@@type"] === "file" ? () => false : isSame(value)

const isSamePrimitive = (a: unknown, b: unknown): boolean => a === b && (typeof a !== "object" || a === null)
