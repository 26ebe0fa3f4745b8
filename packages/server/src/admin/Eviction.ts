/**
 * Evicting documents: their sealed bytes go, their events stay. Clients that still have a document restore it; what no
 * client has is gone.
 */
import { Effect, Option, Result } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import { EVICTED, type StreamKey } from "../domain/Stream.ts"
import * as Secsync from "../domain/secsync/index.ts"
import * as Verdant from "../domain/verdant/Events.ts"
import { BlobStore } from "../ports/BlobStore.ts"
import { EventLog } from "../ports/EventLog.ts"
import {
  deleteEvictedFiles,
  type FilesOfGenerations,
  filesOfGenerations
} from "../protocols/verdant/files/EvictedFiles.ts"
import { appendDecided } from "./appendDecision.ts"

/** Documents listed at a time. */
const PAGE = 200
const ORIGIN = "sync-admin evict"

export interface EvictedDocument {
  /** `@verdant`: the library's Verdant data. */
  readonly documentId: string
  readonly events: number
  readonly payloadBytes: number
  /** Uploaded by Verdant's clients. */
  readonly files: number
  readonly fileBytes: number
}

/**
 * Evicts the documents of a library, or one of them, each in a transaction of its own: what was interrupted goes on
 * where it stopped when it is called again. Documents that are evicted already are left out. With `dryRun` nothing is
 * changed, and the answer says what would be.
 *
 * With a `BlobStore`, the bytes of the library's files are gone when it returns. Without one a server deletes them: at
 * once when somebody is connected to the library, else when somebody comes back to it, or by its sweep of the store.
 */
export const evict = Effect.fn("evict")(function* (options: {
  readonly libraryId: LibraryId
  readonly documentId?: DocumentId
  readonly dryRun?: boolean
}) {
  const log = yield* EventLog
  const evicted: Array<EvictedDocument> = []
  let after: StreamKey | undefined
  while (true) {
    const page = yield* log.streams({
      libraryId: options.libraryId,
      limit: PAGE,
      ...(options.documentId && { streamId: options.documentId }),
      ...(after && { after })
    })
    for (const { key, version, payloadBytes } of page) {
      // Our own streams are not documents; what Verdant's clients have is theirs.
      if (key.streamId.startsWith("@") && !Verdant.isVerdant(key)) continue
      const evictIt = Verdant.isVerdant(key) ? evictLibrary : evictStream
      const gone = yield* evictIt(key, options.dryRun === true)
      if (gone !== undefined) evicted.push({ documentId: key.streamId, events: version, payloadBytes, ...gone })
    }
    after = page.at(-1)?.key
    if (page.length < PAGE) return evicted
  }
})

/** The files that go; undefined when there is nothing to evict. What somebody writes meanwhile is evicted as well. */
const evictStream = Effect.fnUntraced(function* (key: StreamKey, dryRun: boolean) {
  const decided = yield* appendDecided(key, { origin: ORIGIN, dryRun }, (tail) => {
    const state = Secsync.fold(
      key.streamId as DocumentId,
      tail.map(({ event }) => event)
    )
    return Result.map(Secsync.decide(state, { _tag: "Evict" }), (event) => ({
      event: Secsync.toNewEvent(event, ""),
      purgeBefore: "all" as const
    }))
  })
  return Result.isSuccess(decided) ? { files: 0, fileBytes: 0 } : undefined
})

/** Verdant's data goes as a whole; its clients bring it back, the first of them deciding what it is. */
const evictLibrary = Effect.fnUntraced(function* (key: StreamKey, dryRun: boolean) {
  const decided = yield* appendDecided(key, { origin: ORIGIN, dryRun }, (tail) =>
    tail[tail.length - 1]?.event.type === EVICTED
      ? Result.fail("evicted already" as const)
      : Result.succeed({ event: Verdant.toNewEvent({ _tag: EVICTED }, ""), purgeBefore: "all" as const })
  )
  const files = yield* filesOfGenerations(key.libraryId)
  const blobs = yield* Effect.serviceOption(BlobStore)
  if (Option.isSome(blobs) && !dryRun) {
    // Also when it was evicted before: whoever did that may have been interrupted here.
    yield* Effect.provideService(deleteEvictedFiles(files), BlobStore, blobs.value)
  }
  return Result.isSuccess(decided) ? sizesOf(dryRun ? files.live : (files.evicted.at(-1) ?? [])) : undefined
})

const sizesOf = (files: FilesOfGenerations["live"]) => ({
  files: files.length,
  fileBytes: files.reduce((sum, { size }) => sum + size, 0)
})
