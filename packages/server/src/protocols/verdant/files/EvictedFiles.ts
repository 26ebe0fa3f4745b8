/**
 * Finds and deletes the files that were evicted with their library. No later file refers to their blobs, because every upload
 * gets a new key. So any process can delete them, at any time.
 */
import { Effect, Schema } from "effect"
import type { FileId, Hash, LibraryId } from "../../../domain/Ids.ts"
import { endsGeneration, type StreamEvent } from "../../../domain/Stream.ts"
import { FileStored, FilesSwept, VERDANT } from "../../../domain/verdant/Events.ts"
import { nextSlice } from "../../../internal/nextTurn.ts"
import { BlobKey, BlobStore } from "../../../ports/BlobStore.ts"
import { EventLog } from "../../../ports/EventLog.ts"
import { blobGroup } from "./BlobKeys.ts"

export interface BlobOfFile {
  readonly fileId: FileId
  readonly blob: BlobKey
  readonly size: number
  readonly hash: Hash
}

export interface FilesOfGenerations {
  /** The files that the library has now. */
  readonly live: ReadonlyArray<BlobOfFile>
  /** The files that each eviction of the library took, oldest eviction first. */
  readonly evicted: ReadonlyArray<ReadonlyArray<BlobOfFile>>
}

/** The files of a library, to which its events are given in order. `before`: the files that it had before the first of them. */
export const makeFilesFold = (libraryId: LibraryId, before: Iterable<BlobOfFile> = []) => {
  const live = new Map(Array.from(before, (file) => [file.fileId, file]))
  const evicted: Array<ReadonlyArray<BlobOfFile>> = []
  const group = `${blobGroup(libraryId)}/`

  /** Takes the next event. Returns the file that it adds, if it adds one. */
  const take = (event: StreamEvent): BlobOfFile | undefined => {
    const data = { ...event.data, _tag: event.type }
    if (isFileStored(data)) {
      const { blob, fileId, hash, size } = data
      // An imported log could name any blob, but only blobs in the library's own group may be deleted.
      if (!isBlobKey(blob) || !blob.startsWith(group)) return undefined
      const file = { fileId, blob, size, hash }
      live.set(fileId, file)
      return file
    }
    if (isFilesSwept(data)) for (const fileId of data.deleted) live.delete(fileId)
    else if (endsGeneration(event.type)) {
      evicted.push(Array.from(live.values()))
      live.clear()
    }
    return undefined
  }

  return { take, files: (): FilesOfGenerations => ({ live: Array.from(live.values()), evicted }) }
}

/** Events read at a time: some milliseconds of work, after which other work of the process goes first. */
const PAGE = 250
const DELETED_AT_A_TIME = 8

/** Reads a library's files from its events alone: an eviction purged the payloads, and a damaged library can be evicted. */
export const filesOfGenerations = Effect.fn("filesOfGenerations")(function* (libraryId: LibraryId) {
  const log = yield* EventLog
  const fold = makeFilesFold(libraryId)
  let after = 0
  while (true) {
    const page = yield* log.read({ libraryId, streamId: VERDANT }, { after, limit: PAGE, payloads: false })
    for (const { event } of page) fold.take(event)
    after += page.length
    yield* nextSlice
    if (page.length < PAGE) return fold.files()
  }
})

const isBlobKey = Schema.is(BlobKey)
const isFileStored = Schema.is(FileStored)
const isFilesSwept = Schema.is(FilesSwept)

/** Deletes the blobs of evicted files that the store still holds. */
export const deleteEvictedFiles = Effect.fn("deleteEvictedFiles")(function* (files: FilesOfGenerations) {
  const store = yield* BlobStore
  const kept = new Set(files.live.map(({ blob }) => blob))
  const dead = files.evicted.flat().filter(({ blob }) => !kept.has(blob))
  yield* Effect.forEach(dead, ({ blob }) => store.delete(blob), { discard: true, concurrency: DELETED_AT_A_TIME })
})
