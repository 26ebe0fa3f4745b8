/**
 * Files that went with their library. An eviction makes their bytes nobody's at once, and for good: what a client uploads
 * when it brings the library back lies in places of its own. So they can be deleted at any time, by whoever reaches them.
 */
import { Effect, Schema } from "effect"
import type { FileId, LibraryId } from "../../../domain/Ids.ts"
import { EVICTED, type StreamEvent } from "../../../domain/Stream.ts"
import { FileStored, FilesSwept, VERDANT } from "../../../domain/verdant/Events.ts"
import { BlobKey, BlobStore } from "../../../ports/BlobStore.ts"
import { EventLog } from "../../../ports/EventLog.ts"
import { blobGroup } from "./BlobKeys.ts"

export interface BlobOfFile {
  readonly fileId: FileId
  readonly blob: BlobKey
  readonly size: number
}

export interface FilesOfGenerations {
  /** Those that the library has now. */
  readonly live: ReadonlyArray<BlobOfFile>
  /** Those that went with each of its evictions. */
  readonly evicted: ReadonlyArray<ReadonlyArray<BlobOfFile>>
}

/** Events read at a time. */
const PAGE = 1000
const DELETED_AT_A_TIME = 8

/** From the events alone: payloads went with the eviction, and a library whose payloads are damaged can be evicted. */
export const filesOfGenerations = Effect.fn("filesOfGenerations")(function* (libraryId: LibraryId) {
  const log = yield* EventLog
  const live = new Map<FileId, BlobOfFile>()
  const evicted: Array<ReadonlyArray<BlobOfFile>> = []
  const group = `${blobGroup(libraryId)}/`
  const take = (event: StreamEvent): void => {
    const data = { ...event.data, _tag: event.type }
    if (isFileStored(data)) {
      const { blob, fileId, size } = data
      // What is not a place of this library's is not its to delete, whatever an imported log says.
      if (isBlobKey(blob) && blob.startsWith(group)) live.set(fileId, { fileId, size, blob })
    } else if (isFilesSwept(data)) for (const fileId of data.deleted) live.delete(fileId)
    else if (event.type === EVICTED) {
      evicted.push(Array.from(live.values()))
      live.clear()
    }
  }
  let after = 0
  while (true) {
    const page = yield* log.read({ libraryId, streamId: VERDANT }, { after, limit: PAGE, payloads: false })
    for (const { event } of page) take(event)
    after += page.length
    if (page.length < PAGE) return { live: Array.from(live.values()), evicted } satisfies FilesOfGenerations
  }
})

const isBlobKey = Schema.is(BlobKey)
const isFileStored = Schema.is(FileStored)
const isFilesSwept = Schema.is(FilesSwept)

/** Deletes what went with the library's evictions and is still there. */
export const deleteEvictedFiles = Effect.fn("deleteEvictedFiles")(function* (files: FilesOfGenerations) {
  const store = yield* BlobStore
  const kept = new Set(files.live.map(({ blob }) => blob))
  const dead = files.evicted.flat().filter(({ blob }) => !kept.has(blob))
  yield* Effect.forEach(dead, ({ blob }) => store.delete(blob), { discard: true, concurrency: DELETED_AT_A_TIME })
})
