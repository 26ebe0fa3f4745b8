/** Reads what the log holds: its streams, a library's documents, one document. */
import { Effect } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import { DELETED, type StreamKey } from "../domain/Stream.ts"
import * as Secsync from "../domain/secsync/index.ts"
import { EventLog, type StreamSummary } from "../ports/EventLog.ts"

const PAGE = 500

/** Events that are read at a time. Each may take a connection to the database. */
const READERS = 4

/** Visits every stream of the log, of one library, or of one stream id, in the order of (library, stream). */
export const eachStream = Effect.fn("eachStream")(function* <E, R>(
  filter: { readonly libraryId?: LibraryId; readonly streamId?: string; readonly payloads?: boolean },
  visit: (stream: StreamSummary) => Effect.Effect<void, E, R>
) {
  const log = yield* EventLog
  let after: StreamKey | undefined
  while (true) {
    const page = yield* log.streams({ limit: PAGE, ...filter, ...(after && { after }) })
    yield* Effect.forEach(page, visit, { discard: true })
    after = page.at(-1)?.key
    if (page.length < PAGE) return
  }
})

/** The Secsync documents of a library, in the order of their ids; undefined when the log has no such library. */
export const listDocuments = Effect.fn("listDocuments")(function* (libraryId: LibraryId) {
  let streams: Array<StreamSummary> | undefined
  yield* eachStream({ libraryId }, (stream) =>
    Effect.sync(() => {
      streams ??= []
      // The server's own streams are not documents.
      if (!stream.key.streamId.startsWith("@")) streams.push(stream)
    })
  )
  return streams as ReadonlyArray<StreamSummary> | undefined
})

/**
 * Returns a function that tells whether a document, one of `documents`, is evicted or deleted. Neither, if it was restored since, or
 * allowed again. It reads an event of each document of either kind.
 */
export const endingsOf = Effect.fn("endingsOf")(function* (documents: ReadonlyArray<StreamSummary>) {
  const log = yield* EventLog
  const deleted = new Set<StreamSummary>()
  const ended = documents.filter((document) => document.ended)
  const readLast = Effect.fnUntraced(function* (document: StreamSummary) {
    const [last] = yield* log.read(document.key, { after: document.version - 1, limit: 1, payloads: false })
    if (last?.event.type === DELETED) deleted.add(document)
  })
  yield* Effect.forEach(ended, readLast, { concurrency: READERS, discard: true })
  return (document: StreamSummary) => {
    const isDeleted = deleted.has(document)
    return { evicted: document.ended && !isDeleted, deleted: isDeleted }
  }
})

export interface LibraryDetails {
  readonly libraryId: LibraryId
  readonly documents: number
  /** Documents whose payloads were purged, by an eviction or a deletion. */
  readonly evictedDocuments: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
}

/** The totals of one library; undefined when the log has no such library. */
export const showLibrary = Effect.fn("showLibrary")(function* (libraryId: LibraryId) {
  let details: LibraryDetails | undefined
  yield* eachStream({ libraryId }, (stream) =>
    Effect.sync(() => {
      details = withStream(details, stream)
    })
  )
  return details
})

const withStream = (details: LibraryDetails | undefined, stream: StreamSummary): LibraryDetails => {
  // The server's own streams are not documents.
  const documents = stream.key.streamId.startsWith("@") ? 0 : 1
  return {
    libraryId: stream.key.libraryId,
    documents: (details?.documents ?? 0) + documents,
    evictedDocuments: (details?.evictedDocuments ?? 0) + (stream.ended ? documents : 0),
    events: (details?.events ?? 0) + stream.version,
    payloads: (details?.payloads ?? 0) + stream.payloads,
    payloadBytes: (details?.payloadBytes ?? 0) + stream.payloadBytes,
    createdAt: Math.min(details?.createdAt ?? stream.createdAt, stream.createdAt),
    updatedAt: Math.max(details?.updatedAt ?? stream.updatedAt, stream.updatedAt)
  }
}

export interface DocumentDetails extends StreamSummary {
  readonly activeSnapshotId: string | undefined
  /** Updates since the active snapshot. */
  readonly updates: number
  /** The last clock of every author since the active snapshot. */
  readonly clocks: Readonly<Record<string, number>>
  /** The snapshot that clients can restore, when the document is evicted. */
  readonly evictedSnapshotId: string | undefined
}

/** One Secsync document; undefined when the library has no such document. */
export const showDocument = Effect.fn("showDocument")(function* (libraryId: LibraryId, documentId: DocumentId) {
  const log = yield* EventLog
  const { head, events } = yield* log.tail({ libraryId, streamId: documentId }, { payloads: false })
  if (head.version === 0) return undefined
  const [summary] = yield* log.streams({ libraryId, streamId: documentId, limit: 1 })
  if (summary === undefined) return undefined
  const state = Secsync.fold(
    documentId,
    events.map(({ event }) => event)
  )
  return {
    ...summary,
    ...head,
    activeSnapshotId: state.active?.snapshotId,
    updates: state.updates,
    clocks: Secsync.lastClocks(state.clocks),
    evictedSnapshotId: state.evicted?.snapshot.snapshotId
  } satisfies DocumentDetails
})
