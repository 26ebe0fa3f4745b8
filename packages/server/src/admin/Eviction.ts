/**
 * Evicting documents: deletes their sealed bytes and keeps their events. A client that still has a document restores it;
 * a document that no client has is lost.
 */
import { Clock, Effect, Option, Result, Schema } from "effect"
import type { DocumentId, FileId, LibraryId } from "../domain/Ids.ts"
import type { StreamKey } from "../domain/Stream.ts"
import * as Secsync from "../domain/secsync/index.ts"
import { contextOfLogAlone } from "../domain/verdant/Context.ts"
import { decide, evicted } from "../domain/verdant/Decide.ts"
import { isVerdant, LibraryEvent } from "../domain/verdant/Events.ts"
import { fold } from "../domain/verdant/Evolve.ts"
import { formerFilesByEvents } from "../domain/verdant/FileOwners.ts"
import type { FormerOwners } from "../domain/verdant/FormerOwners.ts"
import { type FormerReplicas, formerByEvents } from "../domain/verdant/ReplicaOwners.ts"
import { BlobStore } from "../ports/BlobStore.ts"
import { EventLog } from "../ports/EventLog.ts"
import {
  deleteEvictedFiles,
  type FilesOfGenerations,
  filesOfGenerations
} from "../protocols/verdant/files/EvictedFiles.ts"
import { appendDecided } from "./appendDecision.ts"

/** Documents per page of the listing. */
const PAGE = 200
/** Events read at a time. */
const EVENTS_PAGE = 1000
const ORIGIN = "sync-admin evict"

export interface EvictedDocument {
  /** `@verdant` stands for the library's Verdant data. */
  readonly documentId: string
  readonly events: number
  readonly payloadBytes: number
  /** Files that Verdant clients uploaded. */
  readonly files: number
  readonly fileBytes: number
}

/**
 * Evicts the documents of a library, or one of them, each in a transaction of its own. After an interruption, a second
 * call continues with the documents that are left. Returns the documents that it evicted. With `dryRun` it writes nothing
 * and returns the documents that it would evict.
 *
 * With a `BlobStore`, the bytes of the library's files are deleted when it returns. Without one, a server deletes them: at
 * once if a client is connected to the library, else when a client comes back to it or when the server sweeps its store.
 */
export const evict = Effect.fn("evict")(function* (options: {
  readonly libraryId: LibraryId
  readonly documentId?: DocumentId
  readonly dryRun?: boolean
}) {
  const log = yield* EventLog
  const documents: Array<EvictedDocument> = []
  let after: StreamKey | undefined
  while (true) {
    const page = yield* log.streams({
      libraryId: options.libraryId,
      limit: PAGE,
      ...(options.documentId && { streamId: options.documentId }),
      ...(after && { after })
    })
    for (const { key, version, payloadBytes } of page) {
      // Streams that begin with @ are the server's own, except Verdant's data.
      if (key.streamId.startsWith("@") && !isVerdant(key)) continue
      const evictIt = isVerdant(key) ? evictLibrary : evictStream
      const files = yield* evictIt(key, options.dryRun === true)
      if (files !== undefined) documents.push({ documentId: key.streamId, events: version, payloadBytes, ...files })
    }
    after = page.at(-1)?.key
    if (page.length < PAGE) return documents
  }
})

/**
 * Evicts a Secsync document, with what clients write until the eviction is appended. Returns the files that it deleted;
 * undefined: there was nothing to evict.
 */
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

/** The same for a library's Verdant data. It goes as a whole; the first client that restores it decides its content. */
const evictLibrary = Effect.fnUntraced(function* (key: StreamKey, dryRun: boolean) {
  const context = contextOfLogAlone({ now: yield* Clock.currentTimeMillis, truancy: Number.POSITIVE_INFINITY })
  const decided = yield* appendDecided<"unreadable" | "nothing to do">(
    key,
    { origin: ORIGIN, dryRun, payloads: true },
    (tail) => {
      const state = Result.try(() => fold(tail))
      if (Result.isFailure(state)) return Result.fail("unreadable")
      return Result.mapError(decide(state.success, { _tag: "EvictLibrary" }, context), () => "nothing to do")
    }
  )
  const isUnreadable = Result.isFailure(decided) && decided.failure === "unreadable"
  if (isUnreadable) yield* evictUnreadable(key, dryRun)
  const files = yield* filesOfGenerations(key.libraryId)
  const blobs = yield* Effect.serviceOption(BlobStore)
  if (Option.isSome(blobs) && !dryRun) {
    // Also after an earlier eviction, which may have been interrupted before it deleted the files.
    yield* Effect.provideService(deleteEvictedFiles(files), BlobStore, blobs.value)
  }
  return Result.isSuccess(decided) || isUnreadable
    ? sizesOf(dryRun ? files.live : (files.evicted.at(-1) ?? []))
    : undefined
})

/** A library that cannot be read is evicted as well: so its clients can restore it. */
const evictUnreadable = Effect.fnUntraced(function* (key: StreamKey, dryRun: boolean) {
  const { files, replicas } = yield* formerOwnersOf(key)
  yield* appendDecided(key, { origin: ORIGIN, dryRun }, () =>
    Result.succeed({ ...evicted(replicas, files), purgeBefore: "all" as const })
  )
})

/** The replicas and files that a library ever had, by its events alone. */
const formerOwnersOf = Effect.fnUntraced(function* (key: StreamKey) {
  const log = yield* EventLog
  let replicas: FormerReplicas = new Map()
  let files: FormerOwners<FileId> = new Map()
  let after = 0
  while (true) {
    const page = yield* log.read(key, { after, limit: EVENTS_PAGE, payloads: false })
    const events = page.flatMap(({ event }) => Option.toArray(decodeEvent({ ...event.data, _tag: event.type })))
    replicas = formerByEvents(replicas, events)
    files = formerFilesByEvents(files, events)
    after += page.length
    if (page.length < EVENTS_PAGE) return { replicas, files }
  }
})

const decodeEvent = Schema.decodeUnknownOption(LibraryEvent)

const sizesOf = (files: FilesOfGenerations["live"]) => ({
  files: files.length,
  fileBytes: files.reduce((sum, { size }) => sum + size, 0)
})
