/**
 * The log, folded again from its first event: every version, chain value, payload, signature, clock and parent proof
 * checked anew by the rules that accepted them.
 */
import { Effect, Result } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import { emptyHead, type StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent, type StorageUnavailable } from "../EventLog.ts"
import { eachStream, listLibraries } from "./Documents.ts"
import { makeStreamFold, type ProblemKind } from "./StreamFold.ts"

export interface Problem {
  readonly libraryId: LibraryId
  readonly streamId: string
  readonly version: number
  readonly problem: ProblemKind
  readonly detail: string
}

export interface ReplayReport {
  readonly streams: number
  readonly events: number
  /** Payloads that are still there; each had its hash, its content and its signature checked. */
  readonly payloads: number
  /** The first of the problems that were found, at most 1,000. */
  readonly problems: ReadonlyArray<Problem>
  readonly problemCount: number
}

export interface ReplayOptions {
  readonly libraryId?: LibraryId
  readonly documentId?: DocumentId
  /** Called after every page. The total is of the moment the replay began: a running server goes past it. */
  readonly onProgress?: (events: number, total: number) => void
}

/** Events read at a time: as many as fit into this much if each is as large as the largest of the page before. */
const PAGE_BYTES = 16 * 1024 * 1024
const MAX_PAGE = 500
const FIRST_PAGE = 16
const MAX_PROBLEMS = 1000

/** Checks all streams, or those of a library or of a document's name. Servers may go on writing meanwhile. */
export const replay = Effect.fn("replay")(function* (options: ReplayOptions = {}) {
  const log = yield* EventLog
  const total = yield* countEvents(options)
  const problems: Array<Problem> = []
  let [streams, events, payloads, problemCount] = [0, 0, 0, 0]

  const replayStream = Effect.fnUntraced(function* (key: StreamKey) {
    const fold = makeStreamFold(key, (version, problem, detail) => {
      problemCount += 1
      if (problems.length < MAX_PROBLEMS) problems.push({ ...key, version, problem, detail })
    })
    streams += 1
    let limit = FIRST_PAGE
    while (true) {
      const after = fold.head().version
      const read = yield* readPage(key, after, limit)
      if (Result.isFailure(read)) {
        if (limit === 1) fold.skip(after + 1, read.failure)
        limit = 1
        continue
      }
      const page = read.success
      for (const placed of page) {
        fold.check(placed)
        events += 1
        if (placed.payload !== null) payloads += 1
      }
      options.onProgress?.(events, total)
      // Let the progress be drawn and an interruption be noticed: checking signatures leaves no other pause.
      yield* Effect.yieldNow
      if (page.length === limit) {
        limit = nextLimit(page)
        continue
      }
      // The end, unless somebody wrote after that page was read; where nothing more can be read, something is missing.
      const [head = emptyHead] = yield* log.heads([key])
      if (page.length > 0 && head.version > fold.head().version) continue
      fold.end(head)
      break
    }
    if (fold.isIntact()) yield* checkIndexes(key, fold)
  })

  yield* eachStream(filterOf(options), ({ key }) => replayStream(key))
  return { streams, events, payloads, problems, problemCount } satisfies ReplayReport
})

/** What the storage keeps beside the events, to find them by: it must lead to what the events say. */
const checkIndexes = Effect.fnUntraced(function* (key: StreamKey, fold: ReturnType<typeof makeStreamFold>) {
  const log = yield* EventLog
  const tail = yield* log.tail(key, { payloads: false })
  // A tail that somebody wrote to meanwhile may begin later.
  if (tail.head.version === fold.head().version) fold.checkTail(tail.events[0]?.event.version)
  const first = fold.firstSnapshot()
  if (first !== undefined) fold.checkDescendants(yield* log.proofs(key, first))
})

/** A page of events, or why it cannot be read: a storage dies of a row that it cannot decode. */
const readPage = (
  key: StreamKey,
  after: number,
  limit: number
): Effect.Effect<Result.Result<ReadonlyArray<PlacedEvent>, string>, StorageUnavailable, EventLog> =>
  Effect.flatMap(EventLog, (log) => log.read(key, { after, limit })).pipe(
    Effect.map((page) => Result.succeed(page)),
    Effect.catchDefect((defect) => Effect.succeed(Result.fail(String(defect))))
  )

const nextLimit = (page: ReadonlyArray<PlacedEvent>): number => {
  const largest = page.reduce((max, { payload }) => Math.max(max, payload?.length ?? 0), 1)
  return Math.min(MAX_PAGE, Math.max(1, Math.floor(PAGE_BYTES / largest)))
}

const filterOf = ({ libraryId, documentId }: ReplayOptions) => ({
  ...(libraryId && { libraryId }),
  ...(documentId && { streamId: documentId })
})

const countEvents = Effect.fnUntraced(function* (options: ReplayOptions) {
  let total = 0
  if (options.documentId === undefined) {
    for (const { libraryId, events } of yield* listLibraries()) {
      if (options.libraryId === undefined || libraryId === options.libraryId) total += events
    }
  } else {
    yield* eachStream(filterOf(options), ({ version }) =>
      Effect.sync(() => {
        total += version
      })
    )
  }
  return total
})
