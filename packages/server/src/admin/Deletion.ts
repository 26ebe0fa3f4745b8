/**
 * Deleting for good: the payloads and files of a library or a document go, its events stay, and no client can bring it back.
 * The events hold hashes, ids and times; docs/erasure.md says which, and how to remove those as well.
 */
import { Effect, Option, Result } from "effect"
import type { AdministrationEvent, Attribution } from "../domain/Administration.ts"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import { ALLOWED_AGAIN, DELETED, type NewEvent, type StreamKey } from "../domain/Stream.ts"
import { isVerdant } from "../domain/verdant/Events.ts"
import { BlobStore } from "../ports/BlobStore.ts"
import { EventLog } from "../ports/EventLog.ts"
import { deleteEvictedFiles, filesOfGenerations } from "../protocols/verdant/files/EvictedFiles.ts"
import { appendDecided } from "./appendDecision.ts"
import type { EvictedDocument } from "./Eviction.ts"
import { eachStream } from "./Inspect.ts"
import { administer } from "./Revocation.ts"

const ORIGIN = "sync-admin delete"

/**
 * Servers close a library's connections at once, or at their next sweep if a signal is lost, which is 5 seconds later. Until
 * then, a client may store the first snapshot of a document that did not exist; a second pass deletes it.
 */
const SERVERS_HEAR = "6 seconds"

export interface DeletionTarget {
  readonly libraryId: LibraryId
  /** Only this Secsync document. Default: the library. */
  readonly documentId?: DocumentId
}

/**
 * Deletes a library or a document for good, each stream in a transaction of its own, and returns the documents that it
 * deleted (`@verdant` stands for the library's Verdant data). A document that does not exist is deleted as well, so that no client
 * makes it. After an interruption, a second call deletes what is left. With `dryRun` it writes nothing and returns what it
 * would delete. With a `BlobStore`, the bytes of the files are deleted when it returns; without one, a server deletes them.
 */
export const deleteForGood = Effect.fn("deleteForGood")(function* (
  target: DeletionTarget,
  options: { readonly dryRun?: boolean; readonly by?: Attribution } = {}
) {
  const { documentId, libraryId } = target
  const { by = {}, dryRun = false } = options
  if (documentId !== undefined) {
    const deleted = yield* deleteStream({ libraryId, streamId: documentId }, dryRun)
    if (deleted !== undefined && !dryRun)
      yield* administer(libraryId, { _tag: "DocumentDeleted", documentId, ...by }, ORIGIN)
    return deleted === undefined ? [] : [deleted]
  }
  if (dryRun) return yield* deleteStreams(libraryId, true)
  // First: from now on no server admits a client.
  yield* administer(libraryId, { _tag: "LibraryDeleted", ...by }, ORIGIN)
  const documents = yield* deleteStreams(libraryId, false)
  yield* Effect.sleep(SERVERS_HEAR)
  return [...documents, ...(yield* deleteStreams(libraryId, false))]
})

/** Lets clients make a deleted library or document again. Returns the number of streams that were deleted until now. */
export const allowAgain = Effect.fn("allowAgain")(function* (target: DeletionTarget, by: Attribution = {}) {
  const { documentId, libraryId } = target
  let allowed = 0
  yield* eachStream({ libraryId, ...(documentId && { streamId: documentId }) }, ({ key }) =>
    Effect.gen(function* () {
      if (!isContent(key)) return
      const decided = yield* appendDecided(key, { origin: ORIGIN }, ([first]) =>
        first?.event.type === DELETED
          ? Result.succeed({ event: checkpoint(ALLOWED_AGAIN) })
          : Result.fail("not deleted")
      )
      if (Result.isSuccess(decided)) allowed += 1
    })
  )
  const event: AdministrationEvent =
    documentId === undefined
      ? { _tag: "LibraryAllowedAgain", ...by }
      : { _tag: "DocumentAllowedAgain", documentId, ...by }
  if (documentId === undefined || allowed > 0) yield* administer(libraryId, event, ORIGIN)
  return allowed
})

/** Streams that begin with @ are the server's own, except Verdant's data. */
const isContent = (key: StreamKey): boolean => !key.streamId.startsWith("@") || isVerdant(key)

const deleteStreams = Effect.fnUntraced(function* (libraryId: LibraryId, dryRun: boolean) {
  const deleted: Array<EvictedDocument> = []
  yield* eachStream({ libraryId }, ({ key, payloadBytes }) =>
    Effect.gen(function* () {
      if (!isContent(key)) return
      const one = yield* deleteStream(key, dryRun, payloadBytes)
      if (one !== undefined) deleted.push(one)
    })
  )
  return deleted as ReadonlyArray<EvictedDocument>
})

/** Returns undefined for a stream that is deleted already. */
const deleteStream = Effect.fnUntraced(function* (key: StreamKey, dryRun: boolean, known?: number) {
  const log = yield* EventLog
  const [head] = yield* log.heads([key])
  const payloadBytes = known ?? (yield* log.held(key, (head?.version ?? 0) + 1)).payloadBytes
  const files = isVerdant(key) ? yield* filesOfGenerations(key.libraryId) : undefined
  // A stream that cannot be read is deleted as well, so nothing decodes its events.
  const decided = yield* appendDecided(key, { origin: ORIGIN, dryRun }, ([first]) =>
    first?.event.type === DELETED
      ? Result.fail("deleted")
      : Result.succeed({ event: checkpoint(DELETED), purgeBefore: "all" as const })
  )
  if (files !== undefined && !dryRun) yield* deleteFiles(key.libraryId)
  if (Result.isFailure(decided)) return undefined
  const live = files?.live ?? []
  return {
    documentId: key.streamId,
    events: head?.version ?? 0,
    payloadBytes,
    files: live.length,
    fileBytes: live.reduce((sum, { size }) => sum + size, 0)
  } satisfies EvictedDocument
})

/** The same event in both protocols, and the one that their rules make. */
const checkpoint = (type: typeof DELETED | typeof ALLOWED_AGAIN): NewEvent => ({
  type,
  data: {},
  payloadHash: "",
  checkpoint: true
})

/** Also after an earlier deletion, which may have been interrupted before it deleted the files. */
const deleteFiles = Effect.fnUntraced(function* (libraryId: LibraryId) {
  const blobs = yield* Effect.serviceOption(BlobStore)
  if (Option.isNone(blobs)) return
  yield* Effect.provideService(deleteEvictedFiles(yield* filesOfGenerations(libraryId)), BlobStore, blobs.value)
})
