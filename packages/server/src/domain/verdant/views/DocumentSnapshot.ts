/** A document of a library as its users see it, with the names, types and sizes of its files. */
import { Result } from "effect"
import type { FileId } from "../../Ids.ts"
import { valueOf } from "../Compaction.ts"
import { rootOid } from "../model/Oid.ts"
import { entityOf, type LibraryState, type StoredFile } from "../State.ts"
import { documentView, type ViewTooLarge } from "./DocumentView.ts"

/** A file in a document. Only its id is known until it is uploaded. */
export interface FileView {
  readonly id: string
  /** The file's description in its document. */
  readonly alt?: string
  readonly name?: string
  readonly type?: string
  readonly size?: number
}

/**
 * The document with its entities in the place of references; undefined when there is no such document. Private documents are
 * included. `fileOf` makes the value that stands for a file.
 */
export const documentSnapshot = <File = FileView>(
  state: LibraryState,
  collection: string,
  documentId: string,
  fileOf: (view: FileView, stored: StoredFile | undefined) => File = (view) => view as File
): Result.Result<unknown, ViewTooLarge> => {
  const root = rootOid(collection, documentId)
  if (root === undefined) return Result.succeed(undefined)
  return documentView(root, {
    entity: (oid) => {
      const entity = entityOf(state, oid)
      return entity && valueOf(entity)
    },
    file: ({ alt, id }) => {
      const stored = state.files.get(id as FileId)
      const known = stored && { name: stored.name, type: stored.type, size: stored.size }
      const view = { id: typeof id === "string" ? id : "", ...known, ...(typeof alt === "string" && { alt }) }
      return fileOf(view, stored)
    }
  })
}
