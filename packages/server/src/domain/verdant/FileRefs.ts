/**
 * Which files a library's entities refer to. Counted from the entities as they are, never from what patches take away:
 * a reference that is replaced by another to the same file, with a new text beside it, leaves the file where it was.
 */
import { Schema } from "effect"
import { FileId } from "../Ids.ts"
import { type Entity, isRef } from "./model/Patch.ts"

const isFileId = Schema.is(FileId)

const none: ReadonlySet<FileId> = new Set()

/** The files that an entity refers to itself. What else calls itself a file cannot be one that we hold. */
export const fileRefsOf = (entity: Entity): ReadonlySet<FileId> => {
  let found: Set<FileId> | undefined
  const waiting: Array<unknown> = [entity]
  while (waiting.length > 0) {
    const value = waiting.pop()
    if (typeof value !== "object" || value === null) continue
    if (isRef(value)) {
      if (value["@@type"] === "file" && isFileId(value.id)) found = (found ?? new Set()).add(value.id)
      continue
    }
    for (const inner of Object.values(value)) if (typeof inner === "object") waiting.push(inner)
  }
  return found ?? none
}
