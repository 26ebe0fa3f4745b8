/** What is known of a library's files; their bytes are in the `BlobStore`, under keys that only this knows. */
import { Context, type Effect } from "effect"
import { BlobKey } from "../../BlobStore.ts"
import { blake2b256 } from "../../domain/Blake2b.ts"
import type { FileId, Hash, LibraryId } from "../../domain/Ids.ts"
import type { StorageUnavailable } from "../../EventLog.ts"

export interface FileRecord {
  readonly fileId: FileId
  /** What its user calls it: to be shown, never to be a path. */
  readonly name: string
  /** The media type that its uploader claims. */
  readonly type: string
  readonly size: number
  readonly hash: Hash
  /** Where its bytes are. */
  readonly blob: BlobKey
  /** Who uploaded it. */
  readonly userId: string
}

export class VerdantFiles extends Context.Service<
  VerdantFiles,
  {
    /** Makes a file of bytes that are stored already; returns what it was before, which nobody can find any more. */
    readonly record: (
      libraryId: LibraryId,
      file: FileRecord
    ) => Effect.Effect<FileRecord | undefined, StorageUnavailable>

    readonly find: (libraryId: LibraryId, fileId: FileId) => Effect.Effect<FileRecord | undefined, StorageUnavailable>

    /** The blobs of all files that the library has: every other of its blobs is nobody's. */
    readonly blobs: (libraryId: LibraryId) => Effect.Effect<ReadonlySet<BlobKey>, StorageUnavailable>
  }
>()("@sealog/server/protocols/verdant/VerdantFiles") {}

/** The group that a library's blobs are in: a library's id may hold what no path may. */
export const blobGroup = (libraryId: LibraryId): string => blake2b256(libraryId)

/**
 * Where an upload's bytes go: a place of its own each time. What is recorded of a file and its bytes so belong together
 * whoever uploads the same file at the same time, and a download goes on while it is replaced.
 */
export const newBlobKey = (libraryId: LibraryId, fileId: FileId): BlobKey =>
  BlobKey.make(`${blobGroup(libraryId)}/${fileId}.${crypto.randomUUID().replaceAll("-", "")}`)
