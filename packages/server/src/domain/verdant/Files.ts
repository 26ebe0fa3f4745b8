/** The rules of files: who may read them, and which ones are deleted because nothing refers to them. */
import type { FileId } from "../Ids.ts"
import { referencesTo } from "./FileReferences.ts"
import type { LibraryState, StoredFile } from "./State.ts"

/** The user of files that were copied from another server, which did not record their uploaders. They belong to nobody. */
export const IMPORTER = "@import"

/**
 * Whether a user may read a file: its uploader, and the users who are sent a document that refers to it. A client asks for a
 * file only because of such a document, so until there is one, nobody else needs the file. A reference counts if the uploader
 * wrote it, or a user who could read the file by then: otherwise a user who knows a file's id could read it by naming it.
 */
export const mayRead = (
  { fileReferences }: Pick<LibraryState, "fileReferences">,
  file: StoredFile,
  userId: string
): boolean => {
  if (file.userId === userId) return true
  const isAnybodys = file.userId === IMPORTER
  const references = referencesTo(fileReferences, file.fileId)
  if (references === undefined) return isAnybodys
  const { own, shared } = references
  const couldRead = own.get(userId)
  if (couldRead !== undefined && (couldRead || isAnybodys)) return true
  for (const [author, couldRead] of shared) if (couldRead || isAnybodys || author === file.userId) return true
  return false
}

/**
 * The files that lost or gained their last reference since the last sweep, and those to delete: without references for
 * longer than `keep` milliseconds. undefined: nothing changes.
 */
export const sweepFiles = (state: LibraryState, { keep, now }: { readonly keep: number; readonly now: number }) => {
  if (state.files.size === 0) return undefined
  const [orphaned, revived, deleted]: [Array<FileId>, Array<FileId>, Array<FileId>] = [[], [], []]
  for (const { fileId, orphanedAt } of state.files.values()) {
    if (referencesTo(state.fileReferences, fileId) !== undefined) {
      if (orphanedAt !== null) revived.push(fileId)
    } else if (orphanedAt === null) orphaned.push(fileId)
    else if (now - orphanedAt > keep) deleted.push(fileId)
  }
  if (orphaned.length + revived.length + deleted.length === 0) return undefined
  return { orphaned, revived, deleted, ...(deleted.length > 0 && { keepsOwners: true as const }) }
}
