/** Records an upload whose bytes are stored, and deletes the bytes that no file has: of a replaced or of a refused one. */
import { Effect } from "effect"
import type { LibraryId } from "../../../domain/Ids.ts"
import { type BlobKey, BlobStore } from "../../../ports/BlobStore.ts"
import { type FileRecord, VerdantFiles } from "./FileCatalog.ts"

/**
 * The bytes are stored first: if the upload ends before the file is recorded, a sweep deletes them. If recording fails, the
 * file may have been recorded anyway, so the bytes stay.
 */
export const recordUpload = Effect.fnUntraced(function* (libraryId: LibraryId, file: FileRecord) {
  const { record } = yield* VerdantFiles
  const replaced = yield* Effect.tapErrorTag(record(libraryId, file), ["FilesFull", "AnothersFile"], () =>
    deleteBlob(file.blob)
  )
  if (replaced !== undefined) yield* deleteBlob(replaced.blob)
})

const deleteBlob = (key: BlobKey) => Effect.ignore(BlobStore.use((store) => store.delete(key)))
