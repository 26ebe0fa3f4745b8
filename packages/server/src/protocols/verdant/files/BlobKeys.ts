/** Where in the `BlobStore` the bytes of a library's files are. */

import { blake2b256 } from "../../../domain/Blake2b.ts"
import type { FileId, LibraryId } from "../../../domain/Ids.ts"
import { BlobKey } from "../../../ports/BlobStore.ts"

/** The group that a library's blobs are in: a library's id may hold what no path may. */
export const blobGroup = (libraryId: LibraryId): string => blake2b256(libraryId)

/**
 * Where an upload's bytes go: a place of its own each time. What is recorded of a file and its bytes so belong together
 * whoever uploads the same file at the same time, and a download goes on while it is replaced.
 */
export const newBlobKey = (libraryId: LibraryId, fileId: FileId): BlobKey =>
  BlobKey.make(`${blobGroup(libraryId)}/${fileId}.${crypto.randomUUID().replaceAll("-", "")}`)
