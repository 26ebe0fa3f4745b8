/** Looking at what the log holds, without changing it. */
import { Effect } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import * as Secsync from "../domain/Secsync.ts"
import type { StreamKey } from "../domain/Stream.ts"
import { EventLog, type LibrarySummary, type StreamSummary } from "../EventLog.ts"

const PAGE = 500

/** Every library, in order of its id. */
export const listLibraries = Effect.fn("listLibraries")(function* () {
  const log = yield* EventLog
  const libraries: Array<LibrarySummary> = []
  while (true) {
    const after = libraries.at(-1)?.libraryId
    const page = yield* log.libraries({ limit: PAGE, ...(after && { after }) })
    libraries.push(...page)
    if (page.length < PAGE) return libraries
  }
})

/** Every stream of a library, or of all, page by page. */
export const eachStream = Effect.fn("eachStream")(function* <E, R>(
  libraryId: LibraryId | undefined,
  visit: (stream: StreamSummary) => Effect.Effect<void, E, R>
) {
  const log = yield* EventLog
  let after: StreamKey | undefined
  while (true) {
    const page = yield* log.streams({ limit: PAGE, ...(libraryId && { libraryId }), ...(after && { after }) })
    yield* Effect.forEach(page, visit, { discard: true })
    after = page.at(-1)?.key
    if (page.length < PAGE) return
  }
})

export interface DocumentDetails extends StreamSummary {
  readonly activeSnapshotId: string | undefined
  /** Updates since the active snapshot. */
  readonly updates: number
  /** The last clock of every author since the active snapshot. */
  readonly clocks: Readonly<Record<string, number>>
  /** The snapshot that can be restored, when the document is evicted. */
  readonly evictedSnapshotId: string | undefined
}

/** One document; undefined when the library has none of that name. */
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
