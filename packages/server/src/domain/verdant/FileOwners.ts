/**
 * The owners of files. A file belongs to the user who uploaded it, also after an eviction, or a sweep that deleted it: another
 * user who uploads under its id would keep its owner from bringing it back, and would show others a file of its own in its
 * place.
 */
import type { FileId } from "../Ids.ts"
import type { LibraryEvent } from "./Events.ts"
import { IMPORTER } from "./Files.ts"
import { type FormerBounds, type FormerOwners, withFormer } from "./FormerOwners.ts"
import type { LibraryState } from "./State.ts"

/** Two megabytes in the event of an eviction, if ids are as long as those of Verdant's client. */
const BOUNDS: FormerBounds = { ofUser: 10_000, ofAll: 20_000 }

type Files = Pick<LibraryState, "files" | "formerFiles">

/** Whether a user may upload a file with an id: it is new, the user's own, or an imported one, which belongs to nobody. */
export const mayUpload = ({ files, formerFiles }: Files, fileId: FileId, userId: string): boolean => {
  const owner = files.get(fileId)?.userId ?? formerFiles.get(fileId)
  return owner === undefined || owner === userId || owner === IMPORTER
}

/** The former files once the library is evicted. */
export const formerFilesAfterEviction = (library: Files): FormerOwners<FileId> =>
  formerFilesAfter(library, library.files.keys())

/** The former files once these files have left. */
export const formerFilesAfter = ({ files, formerFiles }: Files, leaving: Iterable<FileId>): FormerOwners<FileId> => {
  const owned: Array<readonly [FileId, string]> = []
  for (const fileId of leaving) {
    const userId = files.get(fileId)?.userId
    if (userId !== undefined && userId !== IMPORTER) owned.push([fileId, userId])
  }
  return withFormer(formerFiles, owned, BOUNDS)
}

/** The same by events without their payloads: for the eviction of a library that cannot be read. */
export const formerFilesByEvents = (
  before: FormerOwners<FileId>,
  events: Iterable<LibraryEvent>
): FormerOwners<FileId> => {
  const leaving: Array<readonly [FileId, string]> = []
  for (const event of events) {
    if (event._tag === "FileStored" && event.userId !== IMPORTER) leaving.push([event.fileId, event.userId])
    else if (event._tag === "Evicted") leaving.push(...(event.files ?? []))
  }
  return withFormer(before, leaving, BOUNDS)
}
