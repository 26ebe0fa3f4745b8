/**
 * `@verdant-web/store` 5.5 imports names from `@verdant-web/common` that its newest version on npm lacks. This module adds
 * them. The store is unmodified; only its import leads here (see `resolveVerdant`).
 */
import * as base from "@verdant-web/common"

export * from "@verdant-web/common"

/** The fields of an operation or a baseline that this file reads. */
interface Item {
  readonly oid: string
  readonly timestamp: string
  readonly data: {
    readonly op: string
    readonly name?: unknown
    readonly index?: unknown
    readonly value?: unknown
    readonly values?: unknown
  }
  authz?: string | undefined
}
type Items = Array<Item>
type Fields = Readonly<Record<string, unknown>>
type GetNow = () => string
type CreateSubId = () => string

/** The subject of an access key while the client does not know its user. */
export const ORIGINATOR_SUBJECT = "$$_originator_$$"

const keyOf = (subject: string) => btoa(`u:${subject}:*`)

export const authz = {
  onlyUser: keyOf,
  onlyMe: () => keyOf(ORIGINATOR_SUBJECT),
  decode: (key: string) => {
    const [scope, subject, action] = atob(key).split(":")
    return { scope, subject, action }
  }
}

export const rewriteAuthzOriginator = (message: { operations?: Items; baselines?: Items }, userId: string): void => {
  for (const item of [...(message.operations ?? []), ...(message.baselines ?? [])]) {
    if (item.authz && authz.decode(item.authz).subject === ORIGINATOR_SUBJECT) item.authz = keyOf(userId)
  }
}

export const initialInternalPresence = {}

export const isFile = (value: unknown): value is Blob => value instanceof Blob
export const isFileData = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  ["id", "remote", "name", "type"].every((name) => Object.hasOwn(value, name))

export const isPrimitive = (field: { readonly type: string }): boolean =>
  ["string", "number", "boolean", "datetime"].includes(field.type)

/** Calls `run` at most once per interval: at once, or at the end of the interval with the last arguments. */
export const throttle = <A extends Array<unknown>>(run: (...args: A) => void, milliseconds: number) => {
  let lastRun = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  return (...args: A): void => {
    clearTimeout(timer)
    const runNow = () => {
      lastRun = Date.now()
      run(...args)
    }
    const wait = lastRun + milliseconds - Date.now()
    if (wait <= 0) runNow()
    else timer = setTimeout(runNow, wait)
  }
}

/** Keeps the fields of the schema, and throws on a value that does not fit. */
export const constrainEntity = (fields: Fields, entity: Fields): Fields =>
  Object.fromEntries(
    Object.entries(entity)
      .filter(([name]) => fields[name] !== undefined)
      .map(([name, value]) => [name, constrainField(fields[name], value, [name])])
  )

// biome-ignore lint/suspicious/noExplicitAny: fields of a schema have no type that is exported
const constrainField = (field: any, value: any, fieldPath: Array<string>): unknown => {
  const isFileValue = field.type === "file" && (isFile(value) || isFileData(value))
  const problem = isFileValue ? undefined : base.validateEntityField({ field, value, fieldPath, requireDefaults: true })
  if (problem) throw new Error(`Validation error: ${problem.message}`)
  if (Array.isArray(value)) {
    return field.type === "array" ? value.map((item) => constrainField(field.items, item, [...fieldPath, "[]"])) : value
  }
  if (!base.isObject(value)) return value
  const each = (names: ReadonlyArray<string>, fieldOf: (name: string) => unknown) =>
    Object.fromEntries(names.map((name) => [name, constrainField(fieldOf(name), value[name], [...fieldPath, name])]))
  if (field.type === "object") return each(Object.keys(field.properties), (name) => field.properties[name])
  if (field.type === "map") return each(Object.keys(value), () => field.values)
  return value
}

/** The name that a `set` writes: within a batch it supersedes earlier operations of the same name on one entity. */
export const operationSupersedes = ({ data }: Item): unknown => (data.op === "set" ? data.name : false)
export const isSuperseded = ({ data }: Item, by: ReadonlySet<unknown>): boolean =>
  by.has(true) || ((data.op === "set" || data.op === "remove") && by.has(data.name))
export const pickValidOperationKeys = ({ oid, timestamp, data, authz }: Item): Item => ({ oid, timestamp, data, authz })

type Applied = Parameters<typeof base.applyPatch>[0]
type Refs = NonNullable<Parameters<typeof base.applyPatch>[2]>

export const applyPatch = (entity: Applied, patch: Item["data"], removedRefs?: Refs): Applied => {
  if (patch.op !== "list-set") return base.applyPatch(entity, patch as never, removedRefs)
  if (!Array.isArray(entity)) return entity
  const index = patch.index as number
  const old = entity[index]
  if (removedRefs && base.isRef(old)) removedRefs.push(old)
  entity[index] = patch.value as never
  return entity
}

export const applyOperations = (
  entity: Applied,
  operations: ReadonlyArray<Item>,
  removedRefs?: Refs,
  access?: { authz?: string }
): Applied =>
  operations.reduce((current, { data, authz }) => {
    if (access && data.op === "initialize" && authz) access.authz = authz
    return applyPatch(current, data, removedRefs)
  }, entity)

export const getUndoOperations = (oid: string, initial: Applied, operations: Items, getNow: GetNow): Items => {
  let state = base.cloneDeep(initial)
  return operations
    .flatMap((operation) => {
      const { data } = operation
      const undo =
        data.op === "list-set" && Array.isArray(state)
          ? [{ oid, timestamp: getNow(), data: { ...data, value: state[data.index as number] } }]
          : (base.getUndoOperations(oid, state, [operation] as never, getNow) as Items)
      state = applyPatch(state, data)
      return [undo]
    })
    .reverse()
    .flat()
}

const withAuthz = (operations: Items, authz: string | undefined): Items => {
  if (authz) for (const operation of operations) operation.authz = authz
  return operations
}

export const initialToPatches = (
  initial: unknown,
  rootOid: string,
  getNow: GetNow,
  createSubId?: CreateSubId,
  patches: Items = [],
  options?: { authz?: string }
): Items => {
  patches.push(...withAuthz(base.initialToPatches(initial, rootOid, getNow, createSubId), options?.authz))
  return patches
}

type Diff = Parameters<typeof base.diffToPatches>

export const diffToPatches = (
  from: Diff[0],
  to: Diff[1],
  getNow: GetNow,
  createSubId?: CreateSubId,
  patches: Items = [],
  { authz, ...options }: NonNullable<Diff[5]> & { readonly authz?: string } = {}
): Items => {
  patches.push(...withAuthz(base.diffToPatches(from, to, getNow, createSubId, [], options), authz))
  return patches
}

/** The newer version: every method takes an access key last, and lists have `list-set` and the insertion of several items. */
export class PatchCreator extends base.PatchCreator {
  createListSet: (oid: string, index: number, value: unknown, authz?: string) => Items
  createListInsertMany: (oid: string, index: number, values: ReadonlyArray<unknown>, authz?: string) => Items

  constructor(getNow: GetNow, createSubId?: CreateSubId) {
    super(getNow, createSubId)
    const takesAuthzAt = {
      createSet: 3,
      createRemove: 2,
      createListPush: 2,
      createListAdd: 2,
      createListInsert: 3,
      createListRemove: 3,
      createListDelete: 3,
      createListMoveByRef: 3,
      createListMoveByIndex: 3,
      createDelete: 1,
      createDeleteAll: 1
    }
    // The methods are properties of the instance, so methods of this class would not override them.
    const methods = this as unknown as Record<string, (...args: Array<unknown>) => Items>
    for (const [name, position] of Object.entries(takesAuthzAt)) {
      const method = methods[name]!
      methods[name] = (...args) => withAuthz(method(...args.slice(0, position)), args[position] as string | undefined)
    }
    const diff = methods["createDiff"]!
    methods["createDiff"] = (from, to, options) => {
      const { authz, merge, ...rest } = (options ?? {}) as { readonly authz?: string; readonly merge?: boolean }
      return withAuthz(diff(from, to, { defaultUndefined: merge, ...rest }), authz)
    }
    methods["createInitialize"] = (value, oid, authz) =>
      withAuthz(base.initialToPatches(value, oid as string, getNow, createSubId), authz as string | undefined)
    // A value that is no primitive becomes an entity first, and the list refers to it.
    const placed = (oid: string, value: unknown, operations: Items): unknown => {
      if (this.isPrimitive(value)) return value
      const itemOid = base.createSubOid(oid, createSubId)
      operations.push(...base.initialToPatches(value, itemOid, getNow, createSubId))
      return base.createRef(itemOid)
    }
    this.createListSet = (oid, index, value, authz) => {
      const operations: Items = []
      const placedValue = placed(oid, value, operations)
      operations.push({ oid, timestamp: getNow(), data: { op: "list-set", index, value: placedValue } })
      return withAuthz(operations, authz)
    }
    this.createListInsertMany = (oid, index, values, authz) => {
      const operations: Items = []
      const placedValues = values.map((value) => placed(oid, value, operations))
      operations.push({ oid, timestamp: getNow(), data: { op: "list-insert", index, values: placedValues } })
      return withAuthz(operations, authz)
    }
  }
}
