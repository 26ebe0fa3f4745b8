/** The keys under which the `BlobStore` holds the bytes of a library's files. */
import { blake2b256 } from "../../../domain/Blake2b.ts"
import type { FileId, LibraryId } from "../../../domain/Ids.ts"
import { BlobKey } from "../../../ports/BlobStore.ts"

/** The group of a library's blobs: a hash, because a library's id may hold characters that a path must not. */
export const blobGroup = (libraryId: LibraryId): string => blake2b256(libraryId)

/**
 * A new key for an upload's bytes. Every upload gets its own. So a file's record always fits its bytes, even if several
 * clients upload the file at once, and a download continues while its file is replaced.
 */
export const newBlobKey = (libraryId: LibraryId, fileId: FileId): BlobKey =>
  BlobKey.make(`${blobGroup(libraryId)}/${fileId}.${crypto.randomUUID().replaceAll("-", "")}`)
