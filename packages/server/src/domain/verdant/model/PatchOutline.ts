/** The part of a patch that decides how large its entity becomes, without the values that it brings. */
import { isRef, itemIndex, type Patch } from "./Patch.ts"

export interface PatchOutline {
  readonly op: Patch["op"]
  /** The position of a list that it sets, removes, or moves. Absent: it has none. */
  readonly index?: number
  /** The items of the list that it makes the entity, or that it puts into one. Absent: `initialize` makes no list. */
  readonly items?: number
  /** Whether it looks for a reference in a list. */
  readonly isReference?: true
}

export const outlineOf = (patch: Patch): PatchOutline => {
  switch (patch.op) {
    case "initialize":
      return Array.isArray(patch.value) ? { op: "initialize", items: patch.value.length } : initialize
    case "set":
    case "remove":
      return withIndex(patch.op, itemIndex(patch.name))
    case "list-set":
      return withIndex(patch.op, itemIndex(patch.index ?? -1))
    case "list-move-by-index":
      return { op: patch.op, index: patch.from ?? 0 }
    case "list-insert":
      return { op: patch.op, items: patch.value ? 1 : (patch.values?.length ?? 0) }
    case "list-move-by-ref":
    case "list-remove":
    case "list-add":
      return isRef(patch.value) ? { op: patch.op, isReference: true } : { op: patch.op }
    default:
      return { op: patch.op }
  }
}

/** Shared by most operations. */
const initialize: PatchOutline = { op: "initialize" }
const [set, remove]: ReadonlyArray<PatchOutline> = [{ op: "set" }, { op: "remove" }]

const withIndex = (op: "set" | "remove" | "list-set", index: number | undefined): PatchOutline => {
  if (index !== undefined) return { op, index }
  return op === "set" ? set! : op === "remove" ? remove! : { op }
}
