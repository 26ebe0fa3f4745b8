/**
 * How large an entity can be once its operations are compacted, and how much work that is. Upper bounds, which take a few
 * steps for each operation: `grown` never looks at the entity itself.
 */
import type { Operation } from "./Operation.ts"
import { MAX_HOLES } from "./Patch.ts"
import type { PatchOutline } from "./PatchOutline.ts"

export interface EntitySize {
  /** Characters of the entity's baseline. */
  readonly length: number
  /** `length` when it was known exactly. */
  readonly exact: number
  /** Holes that items set past the end can have opened since. */
  readonly holes: number
  /** The items of a list, holes included; undefined: the entity is no list. */
  readonly items: number | undefined
  /** The items that were put into a list. */
  readonly filled: number
  /** Work of compacting the operations; 1 is about a nanosecond. */
  readonly work: number
}

/** The lengths of a list in a baseline. */
export interface ListSize {
  readonly items: number
  readonly filled: number
}

/** The sizes of a list; undefined: the snapshot is none. An index within a list is always one that may be set. */
export const listSizeOf = (snapshot: unknown): ListSize | undefined => {
  if (!Array.isArray(snapshot)) return undefined
  let filled = 0
  for (const item of snapshot) if (item !== null) filled++
  return { items: snapshot.length, filled: Math.max(filled, snapshot.length - MAX_HOLES) }
}

const none: EntitySize = { length: 0, exact: 0, holes: 0, items: undefined, filled: 0, work: 0 }

/** The size of a baseline of this length. */
export const sizeOfBaseline = (length: number, list: ListSize | undefined): EntitySize =>
  list === undefined ? { ...none, length, exact: length } : { ...none, ...list, length, exact: length }

/** The size, now that the length is known exactly. */
export const withLength = (size: EntitySize, length: number): EntitySize => ({
  ...{ length, exact: length, holes: 0 },
  ...{ items: size.items, filled: size.filled, work: size.work }
})

/** Applying an operation at all, and reading a character of one that does not hold its patch. */
const [WORK, WORK_PER_READ_CHARACTER] = [100, 10] as const
/** Moving an item of a list, comparing it with a primitive value, and with a reference. */
const WORK_PER_MOVED_ITEM = 0.5
const WORK_PER_COMPARED_ITEM = 10
const WORK_PER_COMPARED_REFERENCE = 40

/** The size after an operation that is later than all others. */
export const grown = (size: EntitySize, operation: Operation): EntitySize => {
  const after = sizeAfter(size, operation)
  if (operation.patch !== undefined) return after
  return { ...after, work: after.work + operation.text.length * WORK_PER_READ_CHARACTER }
}

const sizeAfter = (size: EntitySize, { outline, text }: Operation): EntitySize => {
  const { items } = size
  switch (outline.op) {
    case "initialize": {
      // Compaction begins here: the operations before have no effect.
      const length = text.length
      return { length, exact: length, holes: 0, items: outline.items, filled: outline.items ?? 0, work: WORK }
    }
    case "delete":
      return { ...none, work: WORK }
    case "touch":
      return worked(size, 0)
    case "remove":
      return items === undefined ? worked(size, 0) : enlarged(size, NULL_LENGTH, 0, 0)
    case "set":
      return items === undefined ? enlarged(size, text.length, 0, 0) : withItemAt(size, outline.index, text)
    default:
      return items === undefined ? worked(size, 0) : grownList(size, items, outline, text)
  }
}

/** `,null` */
const NULL_LENGTH = 5

const grownList = (size: EntitySize, items: number, outline: PatchOutline, text: string): EntitySize => {
  switch (outline.op) {
    case "list-set":
      return withItemAt(size, outline.index, text)
    case "list-push":
      return enlarged(size, text.length, 1, 0)
    case "list-insert": {
      const { items: count = 0 } = outline
      return enlarged(size, text.length, count, (items + count) * WORK_PER_MOVED_ITEM)
    }
    case "list-delete":
      return worked(size, items * WORK_PER_MOVED_ITEM)
    case "list-move-by-index":
      // Only a move from beyond the end makes a list longer.
      return enlarged(size, NULL_LENGTH, items > 0 && (outline.index ?? 0) < items ? 0 : 1, items * WORK_PER_MOVED_ITEM)
    case "list-move-by-ref":
      // Only in an empty list it makes an item.
      return enlarged(size, NULL_LENGTH, items === 0 ? 1 : 0, items * comparison(outline))
    case "list-remove":
      return worked(size, items * comparison(outline))
    case "list-add":
      return enlarged(size, text.length, 1, items * comparison(outline))
    default:
      return worked(size, 0)
  }
}

const comparison = ({ isReference }: PatchOutline): number =>
  isReference === true ? WORK_PER_COMPARED_REFERENCE : WORK_PER_COMPARED_ITEM

const worked = (size: EntitySize, work: number): EntitySize => enlarged(size, 0, 0, work)

const enlarged = (size: EntitySize, length: number, put: number, work: number): EntitySize => ({
  ...{ length: size.length + length, exact: size.exact, holes: size.holes },
  items: size.items === undefined ? undefined : size.items + put,
  filled: size.filled + put,
  work: size.work + WORK + work
})

/**
 * There are never more holes in a list than before the greatest index that was set. So an index opens holes only as far as
 * it is greater than the greatest one before.
 */
const withItemAt = (size: EntitySize, index: number | undefined, text: string): EntitySize => {
  if (index === undefined) return worked(size, 0)
  const opened = Math.min(Math.max(index - size.holes, 0), MAX_HOLES)
  const { exact, filled, holes, items = 0, length, work } = enlarged(size, text.length, 1, opened)
  return { exact, filled, work, holes: holes + opened, items: items + opened, length: length + opened * NULL_LENGTH }
}

/** Whether an operation sets an item farther past a list's end than holes are allowed. */
export const opensTooManyHoles = ({ filled, items }: EntitySize, { index, op }: PatchOutline): boolean => {
  if (items === undefined || (op !== "set" && op !== "list-set")) return false
  return index !== undefined && index > filled + MAX_HOLES
}

/** Whether an operation can make an entity no larger. */
export const onlyTakesAway = ({ index, op }: PatchOutline): boolean => {
  switch (op) {
    case "delete":
    case "touch":
    case "list-delete":
    case "list-remove":
      return true
    case "remove":
      return index === undefined
    default:
      return false
  }
}

/** Whether the work of an operation grows with the number of items. */
export const takesTimeOfItems = ({ op }: PatchOutline): boolean =>
  op.startsWith("list-") && op !== "list-set" && op !== "list-push"
