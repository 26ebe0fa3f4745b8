/** Which files of a library something refers to: what is not referred to for long enough goes. */
import { HashMap, Schema } from "effect"
import { FileId } from "../Ids.ts"
import type { SweepFiles } from "./Commands.ts"
import { type Entity, isRef } from "./model/Patch.ts"
import type { LibraryState } from "./State.ts"

/** How a reference to a file begins, in JSON as clients and this server write it. */
const MARK = '"@@type":"file"'

/**
 * Every file that a baseline or an operation not folded yet refers to. Also what a newer operation took away: it may be
 * undone by an older one that is still to come.
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

/** What has changed; undefined when nothing has. */
export const sweepFiles = (state: LibraryState, { keep, now }: SweepFiles) => {
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
