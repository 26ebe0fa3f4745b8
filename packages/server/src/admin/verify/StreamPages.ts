/** Reads a stream page by page, so that no more than a page is in memory. */
import { Effect, Result } from "effect"
import { errorText } from "../../domain/errorText.ts"
import { emptyHead, purgesBefore, type StreamEvent, type StreamHead, type StreamKey } from "../../domain/Stream.ts"
import { EventLog, type PlacedEvent, type StorageUnavailable } from "../../ports/EventLog.ts"

/** Where to stop: after a version, or before the first event that was recorded after a time (milliseconds since 1970). */
export type Until = { readonly version: number } | { readonly time: number }

/** Whether an event comes after the point at which to stop. */
export const isPast = (until: Until | undefined, event: StreamEvent): boolean => {
  if (until === undefined) return false
  return "version" in until ? event.version > until.version : event.recordedAt > until.time
}

const PAGE_EVENTS = 500
const PAGE_BYTES = 16 * 1024 * 1024

export interface PageOptions {
  /** Visit events with a greater version. */
  readonly after: number
  /** A version that the stream is known to reach: below it, the head is not read. */
  readonly reaches: number
  readonly until?: Until | undefined
  /** Whether payloads are read as well. Default: true. */
  readonly payloads?: boolean
  /** As in `ReadOptions`. */
  readonly leavePacked?: boolean
}

export interface Visitor<E, R> {
  readonly page: (events: ReadonlyArray<PlacedEvent>) => Effect.Effect<void, E, R>
  /** Called for an event that the storage cannot read. Default: die. */
  readonly unreadable?: (version: number, why: string) => Effect.Effect<void, E, R>
}

/**
 * Visits a stream's events, also those that are written while it runs. Returns "cut" when it stopped at `until`, otherwise
 * the head that the storage names.
 */
export const eachPage = Effect.fnUntraced(function* <E, R>(
  key: StreamKey,
  { after, leavePacked = false, payloads = true, reaches, until }: PageOptions,
  visitor: Visitor<E, R>
) {
  const log = yield* EventLog
  let [version, limit, end] = [after, PAGE_EVENTS, reaches]
  while (true) {
    const read = yield* readPage(key, { after: version, limit, maxBytes: PAGE_BYTES, payloads, leavePacked })
    if (Result.isFailure(read)) {
      // Read ever smaller pages, to find the one event that cannot be read.
      if (limit > 1) limit = Math.ceil(limit / 2)
      else {
        version += 1
        yield* visitor.unreadable?.(version, read.failure) ?? Effect.die(read.failure)
      }
      continue
    }
    limit = Math.min(PAGE_EVENTS, limit * 2)
    const past = read.success.findIndex(({ event }) => isPast(until, event))
    const page = past < 0 ? read.success : read.success.slice(0, past)
    if (page.length > 0) {
      version = page[page.length - 1]!.event.version
      yield* visitor.page(page)
      // Without this, a storage in this process never yields, and the fiber could not be interrupted.
      yield* Effect.yieldNow
    }
    if (past >= 0) return "cut" as const
    if (page.length > 0 && version < end) continue
    // The end, unless the head moved since. An empty page below the head means that events are missing.
    const [head = emptyHead] = yield* log.heads([key])
    if (head.version <= version || (page.length === 0 && head.version === end)) return head
    end = head.version
  }
})

/** The greatest `purgesBefore` of the events after a version: such events purge payloads of earlier ones. */
export const purgedAfter = Effect.fnUntraced(function* (key: StreamKey, { version: after }: StreamHead) {
  let purged = 0
  yield* eachPage(
    key,
    { after, reaches: after, payloads: false },
    {
      page: (events) =>
        Effect.sync(() => {
          for (const { event } of events) purged = Math.max(purged, purgesBefore(event))
        }),
      unreadable: () => Effect.void
    }
  )
  return purged
})

/** A page of events, or the reason why it cannot be read: a storage dies of a row that it cannot decode. */
const readPage = (
  key: StreamKey,
  options: Parameters<EventLog["Service"]["read"]>[1]
): Effect.Effect<Result.Result<ReadonlyArray<PlacedEvent>, string>, StorageUnavailable, EventLog> =>
  Effect.flatMap(EventLog, (log) => log.read(key, options)).pipe(
    Effect.map((page) => Result.succeed(page)),
    Effect.catchDefect((defect) => Effect.succeed(Result.fail(errorText(defect))))
  )
