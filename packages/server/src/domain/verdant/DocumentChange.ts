/**
 * A change that the app makes to a document, as operations on its objects and lists: those that a client would make. Objects
 * and lists in a document are entities of their own. An entity that stays keeps its id, so what clients write into it at the same
 * time is kept.
 */
import { isOid, type Oid, rootOf } from "./model/Oid.ts"
import { isRef, type Patch } from "./model/Patch.ts"

export type Fields = Readonly<Record<string, unknown>>

/**
 * The values are JSON. A file is `{ "@@type": "file", id }`, of a file that was uploaded. The fields of a new document are all
 * that its schema asks for, the primary key included: the server knows no schema, and fills in no default.
 */
export interface DocumentChange {
  /**
   * Fields to set; a document that does not exist is made of them. An object is merged with the one that is there. A list
   * becomes this list, by the fewest operations: an item more at its end is one push. Above 1,000 in a change, lists are written as
   * a whole. A field that is undefined is left out. At most 20,000 objects, lists and fields; the items of a list are as many
   * as an operation takes (4 Mi characters).
   */
  readonly set?: Fields
  /** Fields to remove, by name or by path (`["labels", "urgent"]`), of what was there before. */
  readonly remove?: ReadonlyArray<string | ReadonlyArray<string>>
  /** The only user who may see the document. Takes effect when the document is made. Default: all users may. */
  readonly onlyUser?: string
}

export interface ChangedEntity {
  readonly oid: Oid
  readonly patch: Patch
}

/** Levels of objects and lists in a change: more than any schema has. A deeper change is refused with a `TypeError`. */
const MAX_DEPTH = 64

/** Objects, lists and fields of a change. Each may become an operation. */
const MAX_PARTS = 20_000
/** Operations of a change that add and remove items of lists, and fields of objects in lists. Above it, they are written as a whole. */
const MAX_OPERATIONS = 1000

/** Why a change cannot be made of any document; undefined: it can. */
export const changeProblem = (change: DocumentChange): string | undefined => {
  if (!isObject(change)) return "it is an object with `set`, `remove` or `onlyUser`, or null"
  const { onlyUser, remove = [], set = {} } = change as DocumentChange
  if (!isObject(set)) return "`set` is an object with the fields"
  if (!Array.isArray(remove) || !remove.every(isPath)) return "`remove` is a list of names and paths"
  if (onlyUser !== undefined && (typeof onlyUser !== "string" || onlyUser === "")) return "`onlyUser` is a user's id"
  return valueProblem(set, "set", MAX_DEPTH, { left: MAX_PARTS })
}

const isPath = (path: unknown): boolean =>
  typeof path === "string" || (Array.isArray(path) && path.length > 0 && path.every((key) => typeof key === "string"))

const valueProblem = (value: unknown, path: string, depth: number, parts: { left: number }): string | undefined => {
  if (typeof value === "string" || typeof value === "boolean" || value === null || Number.isFinite(value))
    return undefined
  if (depth === 0) return `\`${path}\` is too deep`
  if (isRef(value))
    return isFile(value) ? undefined : `\`${path}\` is a reference to an object; write the object itself`
  if (!Array.isArray(value) && !isObject(value)) return `\`${path}\` is no JSON`
  parts.left -= Array.isArray(value) ? 1 : 1 + Object.keys(value).length
  if (parts.left < 0) return `\`set\` has more than ${MAX_PARTS} objects, lists and fields; write it in several changes`
  for (const [key, field] of Object.entries(value)) {
    if (key === "__proto__") return `\`${path}\` has a field __proto__`
    if (field === undefined && !Array.isArray(value)) continue
    const problem = valueProblem(field, `${path}.${key}`, depth - 1, parts)
    if (problem !== undefined) return problem
  }
  return undefined
}

const isObject = (value: unknown): value is Fields => {
  if (typeof value !== "object" || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isFile = (value: unknown): boolean => isRef(value) && value["@@type"] === "file" && typeof value.id === "string"

/** A document, as the library holds it. */
export interface Document {
  readonly root: Oid
  /** The content of an entity; undefined: it does not exist. */
  readonly contentOf: (oid: Oid) => unknown
  /** Makes the id of a new part, different from all others in the document. */
  readonly newPart: () => Oid
}

/** The operations that change a document, in their order; null: deletes it. Empty: it is as the change wants it. */
export const changesOf = (document: Document, change: DocumentChange | null): ReadonlyArray<ChangedEntity> => {
  const writer = new Writer(document)
  const { contentOf, root } = document
  const content = contentOf(root)
  if (change === null) writer.drop({ "@@type": "ref", id: root })
  else if (isObject(content)) {
    writer.merge(root, content, change.set ?? {})
    for (const path of change.remove ?? []) writer.remove(root, typeof path === "string" ? [path] : path)
  } else if (change.set !== undefined) writer.make(root, change.set)
  return writer.changes
}

class Writer {
  readonly changes: Array<ChangedEntity> = []
  private readonly document: Document
  private readonly dropped = new Set<Oid>()
  private left = MAX_OPERATIONS

  constructor(document: Document) {
    this.document = document
  }

  /** Makes an entity with its parts, which come first. */
  make(oid: Oid, value: object): void {
    const content = Array.isArray(value) ? value.map((item) => this.stored(item)) : this.storedFields(value as Fields)
    this.write(oid, { op: "initialize", value: content })
  }

  /** Sets the fields that differ. "replace": also removes the fields that are not given, at every depth. */
  merge(oid: Oid, content: Fields, fields: Fields, how: "merge" | "replace" = "merge"): void {
    const lost = how === "replace" ? Object.keys(content).filter((name) => fields[name] === undefined) : []
    if (!this.affords(lost.length)) return this.overwrite(oid, content, fields)
    for (const [name, value] of Object.entries(fields)) {
      if (value === undefined) continue
      const before = Object.hasOwn(content, name) ? content[name] : undefined
      if (this.isSame(before, value) || this.changePart(before, value, how)) continue
      this.write(oid, { op: "set", name, value: this.stored(value) })
      this.drop(before)
    }
    for (const name of lost) this.remove(oid, [name])
  }

  private affords(operations: number): boolean {
    if (operations > this.left) return false
    this.left -= operations
    return true
  }

  /** Gives an entity a new content, with parts of its own. */
  private overwrite(oid: Oid, content: object, value: object): void {
    this.make(oid, value)
    for (const part of Object.values(content)) this.drop(part)
  }

  remove(oid: Oid, [name, ...path]: ReadonlyArray<string>): void {
    const content = this.document.contentOf(oid)
    if (name === undefined || !isObject(content) || !Object.hasOwn(content, name)) return
    const field = content[name]
    if (path.length > 0) {
      const part = this.partOf(field)
      return part === undefined ? undefined : this.remove(part.oid, path)
    }
    this.write(oid, { op: "remove", name })
    this.drop(field)
  }

  /** Deletes the entity that a reference refers to, with its parts. */
  drop(reference: unknown): void {
    // Clients nest as deep as they like, so there is no recursion.
    const references = [reference]
    while (references.length > 0) {
      const part = this.partOf(references.pop())
      if (part === undefined || this.dropped.has(part.oid)) continue
      this.dropped.add(part.oid)
      this.write(part.oid, { op: "delete" })
      for (const field of Object.values(part.content)) if (isRef(field)) references.push(field)
    }
  }

  /** Changes the object or list that a reference refers to into a value of its kind. Returns false if they differ in kind. */
  private changePart(reference: unknown, value: unknown, how: "merge" | "replace"): boolean {
    const part = this.partOf(reference)
    if (part === undefined || !this.isOfOneKind(reference, value)) return false
    const { content, oid } = part
    if (Array.isArray(value)) this.becomeList(oid, content as ReadonlyArray<unknown>, value)
    else this.merge(oid, content as Fields, value as Fields, how)
    return true
  }

  /** Whether a reference refers to an object and the value is one, or both are lists. */
  private isOfOneKind(reference: unknown, value: unknown): boolean {
    if (typeof value !== "object" || value === null || isRef(value)) return false
    const part = this.partOf(reference)
    return part !== undefined && Array.isArray(part.content) === Array.isArray(value)
  }

  /** The items at both ends that stay are left alone. Of those between, objects that change stay the same objects. */
  private becomeList(oid: Oid, items: ReadonlyArray<unknown>, values: ReadonlyArray<unknown>): void {
    const shorter = Math.min(items.length, values.length)
    let [start, end] = [0, 0]
    while (start < shorter && this.isSame(items[start], values[start])) start++
    while (end < shorter - start && this.isSame(items.at(-1 - end), values.at(-1 - end))) end++
    const changed = shorter - start - end
    if (!this.affords(this.countOperations(items, values, { start, end }))) return this.overwrite(oid, items, values)
    for (let index = start; index < start + changed; index++) {
      const [item, value] = [items[index], values[index]]
      if (this.isSame(item, value) || this.changePart(item, value, "replace")) continue
      // Stores of version 3 do not know `list-set`.
      this.write(oid, { op: "list-delete", index, count: 1 })
      this.write(oid, { op: "list-insert", index, values: [this.stored(value)] })
      this.drop(item)
    }
    for (let index = items.length - end - 1; index >= start + changed; index--) {
      const item = items[index]
      if (this.partOf(item) === undefined) this.write(oid, { op: "list-delete", index, count: 1 })
      else this.write(oid, { op: "list-remove", value: item, only: "last" })
      this.drop(item)
    }
    for (let index = start + changed; index < values.length - end; index++) {
      const value = this.stored(values[index])
      this.write(oid, end === 0 ? { op: "list-push", value } : { op: "list-insert", index, values: [value] })
    }
  }

  /** The operations on a list that changes between its ends. */
  private countOperations(
    items: ReadonlyArray<unknown>,
    values: ReadonlyArray<unknown>,
    { end, start }: { readonly start: number; readonly end: number }
  ): number {
    const shorter = Math.min(items.length, values.length)
    let count = Math.abs(items.length - values.length)
    for (let index = start; index < shorter - end; index++) {
      if (this.isOfOneKind(items[index], values[index]) || this.isSame(items[index], values[index])) continue
      count += 2
    }
    return count
  }

  /** The value as it stands in its parent: an object or a list becomes an entity and a reference to it. */
  private stored(value: unknown): unknown {
    if (typeof value !== "object" || value === null || isRef(value)) return value
    const oid = this.document.newPart()
    this.make(oid, value)
    return { "@@type": "ref", id: oid }
  }

  private storedFields(fields: Fields): Fields {
    const known = Object.entries(fields).filter(([, value]) => value !== undefined)
    return Object.fromEntries(known.map(([name, value]) => [name, this.stored(value)]))
  }

  /** Whether what stands in an entity is a value already. */
  private isSame(stored: unknown, value: unknown): boolean {
    if (typeof value !== "object" || value === null) return stored === value
    if (isRef(value)) return isRef(stored) && JSON.stringify(stored) === JSON.stringify(value)
    const content = this.partOf(stored)?.content
    if (content === undefined || Array.isArray(content) !== Array.isArray(value)) return false
    const fields = Object.entries(value).filter(([, field]) => field !== undefined)
    return (
      fields.length === Object.keys(content).length &&
      fields.every(([name, field]) => Object.hasOwn(content, name) && this.isSame((content as Fields)[name], field))
    )
  }

  /** The object or list of the document that a reference refers to. */
  private partOf(reference: unknown): { readonly oid: Oid; readonly content: object } | undefined {
    if (!isRef(reference) || reference["@@type"] !== "ref") return undefined
    const { id } = reference
    if (!isOid(id) || rootOf(id) !== this.document.root) return undefined
    const content = this.document.contentOf(id)
    return typeof content === "object" && content !== null ? { oid: id, content } : undefined
  }

  private write(oid: Oid, patch: Patch): void {
    this.changes.push({ oid, patch })
  }
}
