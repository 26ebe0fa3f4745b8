/** Which files of a library something refers to: what is not referred to for long enough goes. */
import { HashMap } from "effect"
import type { FileId } from "../Ids.ts"
import type { SweepFiles } from "./Commands.ts"
import { fileRefsOf } from "./FileRefs.ts"
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
