/**
 * Finds and deletes the files that were evicted with their library. No later file refers to their blobs, because every upload
 * gets a new key. So any process can delete them, at any time.
 */
import { Effect, Schema } from "effect"
import type { FileId, LibraryId } from "../../../domain/Ids.ts"
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
}

export interface FilesOfGenerations {
  /** The files that the library has now. */
  readonly live: ReadonlyArray<BlobOfFile>
  /** The files that each eviction of the library took, oldest eviction first. */
  readonly evicted: ReadonlyArray<ReadonlyArray<BlobOfFile>>
}

/** Events read at a time: some milliseconds of work, after which other work of the process goes first. */
const PAGE = 250
const DELETED_AT_A_TIME = 8

/** Reads a library's files from its events alone: an eviction purged the payloads, and a damaged library can be evicted. */
export const filesOfGenerations = Effect.fn("filesOfGenerations")(function* (libraryId: LibraryId) {
  const log = yield* EventLog
  const live = new Map<FileId, BlobOfFile>()
  const evicted: Array<ReadonlyArray<BlobOfFile>> = []
  const group = `${blobGroup(libraryId)}/`
  const take = (event: StreamEvent): void => {
    const data = { ...event.data, _tag: event.type }
    if (isFileStored(data)) {
      const { blob, fileId, size } = data
      // An imported log could name any blob, but only blobs in the library's own group may be deleted.
      if (isBlobKey(blob) && blob.startsWith(group)) live.set(fileId, { fileId, size, blob })
    } else if (isFilesSwept(data)) for (const fileId of data.deleted) live.delete(fileId)
    else if (endsGeneration(event.type)) {
      evicted.push(Array.from(live.values()))
      live.clear()
    }
  }
  let after = 0
  while (true) {
    const page = yield* log.read({ libraryId, streamId: VERDANT }, { after, limit: PAGE, payloads: false })
    for (const { event } of page) take(event)
    after += page.length
    yield* nextSlice
    if (page.length < PAGE) return { live: Array.from(live.values()), evicted } satisfies FilesOfGenerations
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
