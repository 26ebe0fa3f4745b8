/** Reads the changes of a stream page by page, with no more of it in memory than a page. */
import { Effect } from "effect"
import { type ChangeMessage, messageOf } from "../../domain/changes/ChangeMessage.ts"
import { FOLDED, type StreamKey } from "../../domain/Stream.ts"
import { isVerdant } from "../../domain/verdant/Events.ts"
import { hasChange } from "../../domain/verdant/views/LibraryChange.ts"
import type { EventLog, PlacedEvent } from "../../ports/EventLog.ts"

/** Limits of one read, and so of the memory per listener. A larger event is read alone. */
const PAGE_EVENTS = 100
const PAGE_BYTES = 1024 * 1024

export interface ChangePage {
  readonly changes: ReadonlyArray<ChangeMessage>
  /** The version of the last event that was read, whether it made a change or not. */
  readonly version: number
  readonly isLast: boolean
}

/** The next changes of a stream after a version. Dies when an event cannot be decoded. */
export const readChanges = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey, after: number) {
  const { events, isLast } = yield* isVerdant(key)
    ? readVerdantPage(log, key, after)
    : readDocumentPage(log, key, after)
  // Yields to others: a storage in this process, and decoding, leave no other pause.
  yield* Effect.yieldNow
  const changes = events.flatMap(({ event, payload }) => messageOf(key, event, payload) ?? [])
  return { changes, version: events.at(-1)?.event.version ?? after, isLast } satisfies ChangePage
})

/** The next events of a library's Verdant stream, and whether it ends with them. */
export const readVerdantPage = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey, after: number) {
  const page = yield* log.read(key, { after, limit: PAGE_EVENTS, payloads: false })
  const isLast = page.length < PAGE_EVENTS
  if (!page.some(({ event }) => hasChange(event))) return { events: page, isLast }
  // A compaction holds the whole library and no change, so its payload is not read.
  const compaction = page.findIndex(({ event }) => event.type === FOLDED)
  if (compaction === 0) return { events: page.slice(0, 1), isLast: false }
  const limit = compaction === -1 ? page.length : compaction
  const events: ReadonlyArray<PlacedEvent> = yield* log.read(key, { after, limit, maxBytes: PAGE_BYTES })
  return { events, isLast: isLast && events.length === page.length }
})

/** The changes of a document say nothing of the sealed messages, so payloads are not read. */
const readDocumentPage = (log: EventLog["Service"], key: StreamKey, after: number) =>
  Effect.map(log.read(key, { after, limit: PAGE_EVENTS, payloads: false }), (events) => ({
    events,
    isLast: events.length < PAGE_EVENTS
  }))
