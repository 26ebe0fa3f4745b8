/** The files that a library's data refers to. A file without references for long enough is deleted. */
import { HashMap, Schema } from "effect"
import { FileId } from "../Ids.ts"
import { type Entity, isRef } from "./model/Patch.ts"
import type { LibraryState } from "./State.ts"

/** The text in every reference to a file, in JSON as clients and this server write it. */
const MARK = '"@@type":"file"'

/**
 * Every file that a baseline or an operation refers to. A reference that a newer operation removed counts as well: an older
 * operation that is still to come may change the outcome.
 */
export const referredFiles = (state: LibraryState): ReadonlySet<string> => {
  const found = new Set<string>()
  for (const { baseline, operations } of HashMap.values(state.entities)) {
    if (baseline !== undefined) collect(baseline.text, found)
    for (const { text } of operations) collect(text, found)
  }
  return found
}

const collect = (text: string, found: Set<string>): void => {
  if (!text.includes(MARK)) return
  for (const fileId of fileRefsOf(JSON.parse(text))) found.add(fileId)
}

/**
 * The files that lost or gained their last reference since the last sweep, and those to delete: without references for
 * longer than `keep` milliseconds. undefined: nothing changes.
 */
export const sweepFiles = (state: LibraryState, { keep, now }: { readonly keep: number; readonly now: number }) => {
  if (state.files.size === 0) return undefined
  const referred = referredFiles(state)
  const [orphaned, revived, deleted]: [Array<FileId>, Array<FileId>, Array<FileId>] = [[], [], []]
  for (const { fileId, orphanedAt } of state.files.values()) {
    if (referred.has(fileId)) {
      if (orphanedAt !== null) revived.push(fileId)
    } else if (orphanedAt === null) orphaned.push(fileId)
    else if (now - orphanedAt > keep) deleted.push(fileId)
  }
  return orphaned.length + revived.length + deleted.length === 0 ? undefined : { orphaned, revived, deleted }
}

const isFileId = Schema.is(FileId)

const none: ReadonlySet<FileId> = new Set()

/** The files that an entity refers to itself. A reference with an id that no stored file can have is left out. */
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
