/** Lists the events of a library or of one of its streams, and follows new ones. */
import { Effect, Stream } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { type StreamKey, streamName } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { eachStream } from "./Inspect.ts"
import { NoSuchStream } from "./verify/Scope.ts"
import { eachPage, type Until } from "./verify/StreamPages.ts"

export interface LoggedEvent {
  readonly streamId: string
  readonly version: number
  readonly generation: number
  readonly type: string
  readonly data: object
  readonly origin: string
  /** Milliseconds since 1970, by the writer's clock. */
  readonly recordedAt: number
  /** null: the event has no payload, or its payload was purged. */
  readonly payloadBytes: number | null
  /** Whether the event's payload was purged. */
  readonly purged: boolean
}

export interface EventsScope {
  readonly libraryId: LibraryId
  /** A document, or one of the server's own streams. Default: all streams of the library. */
  readonly streamId?: string
}

export interface EventsOptions {
  /** Where to start: the last so many events, or every event after a version (meant for one stream). */
  readonly from: { readonly last: number } | { readonly after: number }
  /** Continue with new events, from any process, and never end. */
  readonly follow: boolean
}

/**
 * Visits events page by page. A stream's events come in the order of their versions. With `last`, the events of several
 * streams are merged by the time at which they were recorded; followed events come as they are written. Fails with
 * `NoSuchStream` when the log has no such library or document. A stream of the server's own has no events until one is written.
 */
export const eachEvent = Effect.fn("eachEvent")(function* <E, R>(
  scope: EventsScope,
  { follow, from }: EventsOptions,
  visit: Visit<E, R>
) {
  const positions =
    "last" in from ? yield* visitLast(scope, from.last, visit) : yield* visitFrom(scope, from.after, visit)
  if (positions.size === 0 && !(yield* mayBegin(scope)))
    return yield* new NoSuchStream({ libraryId: scope.libraryId, streamId: scope.streamId })
  if (follow) yield* visitNew(scope, positions, visit)
})

/** Whether the scope is a stream of the server's own that may have no event yet: for all libraries, or of a library that the log has. */
const mayBegin = Effect.fnUntraced(function* ({ libraryId, streamId }: EventsScope) {
  if (libraryId.startsWith("@")) return true
  return streamId?.startsWith("@") === true && (yield* (yield* EventLog).countStreams(libraryId)) > 0
})

/** The last version that was visited, by stream name. */
type Positions = Map<string, { readonly key: StreamKey; readonly version: number }>

type Visit<E, R> = (events: ReadonlyArray<LoggedEvent>) => Effect.Effect<void, E, R>

/** Visits the last events of the scope. Most streams of a large scope contribute none. */
const visitLast = Effect.fnUntraced(function* <E, R>(scope: EventsScope, last: number, visit: Visit<E, R>) {
  const log = yield* EventLog
  const positions: Positions = new Map()
  let newest: Array<{ readonly key: StreamKey; readonly version: number; readonly at: number }> = []
  yield* eachStream(
    scope,
    Effect.fnUntraced(function* ({ key, updatedAt, version }) {
      positions.set(streamName(key), { key, version })
      if (newest.length >= last && updatedAt < (newest[0]?.at ?? Number.POSITIVE_INFINITY)) return
      let at = Number.NEGATIVE_INFINITY
      // Without payloads: most of these events are not among the last, so their payload sizes do not matter.
      const tail = yield* log.read(key, { after: Math.max(0, version - last), limit: last, payloads: false })
      for (const { event } of tail) {
        if (event.version > version) break
        // A stream's own order stays, even if one of its writers had a slow clock.
        at = Math.max(at, event.recordedAt)
        newest.push({ key, version: event.version, at })
      }
      newest = last === 0 ? [] : newest.sort((a, b) => a.at - b.at).slice(-last)
    })
  )

  const found = new Map<string, Map<number, LoggedEvent>>()
  for (const [name, versions] of Map.groupBy(newest, ({ key }) => streamName(key))) {
    const events = new Map<number, LoggedEvent>()
    found.set(name, events)
    const [first, until] = [versions[0]!, versions.at(-1)!]
    yield* visitAfter(first.key, first.version - 1, { version: until.version }, (page) =>
      Effect.sync(() => {
        for (const event of page) events.set(event.version, event)
      })
    )
  }
  yield* visit(newest.flatMap(({ key, version }) => found.get(streamName(key))?.get(version) ?? []))
  return positions
})

/** Visits every event after a version. */
const visitFrom = Effect.fnUntraced(function* <E, R>(scope: EventsScope, after: number, visit: Visit<E, R>) {
  const positions: Positions = new Map()
  yield* eachStream(
    scope,
    Effect.fnUntraced(function* ({ key }) {
      positions.set(streamName(key), { key, version: yield* visitAfter(key, after, undefined, visit) })
    })
  )
  return positions
})

/** Visits events after `positions` as they are written; never returns. */
const visitNew = Effect.fnUntraced(function* <E, R>(scope: EventsScope, positions: Positions, visit: Visit<E, R>) {
  const signals = yield* Signals
  const catchUp = Effect.fnUntraced(function* (key: StreamKey) {
    const name = streamName(key)
    const { version } = positions.get(name) ?? { version: 0 }
    const end = yield* visitAfter(key, version, undefined, visit)
    positions.set(name, { key, version: end })
  })
  const catchUpAll = eachStream(scope, ({ key, version }) =>
    version > (positions.get(streamName(key))?.version ?? 0) ? catchUp(key) : Effect.void
  )
  const isInScope = (key: StreamKey): boolean =>
    key.libraryId === scope.libraryId && (scope.streamId === undefined || key.streamId === scope.streamId)
  // The first wake-up also covers what was written since the positions were read.
  return yield* Stream.runForEach(signals.wakeups, (keys) =>
    keys === "all" ? catchUpAll : Effect.forEach(keys.filter(isInScope), catchUp, { discard: true })
  )
})

/** Visits a stream's events after a version, and returns the last version that it visited. */
const visitAfter = Effect.fnUntraced(function* <E, R>(
  key: StreamKey,
  after: number,
  until: Until | undefined,
  visit: Visit<E, R>
) {
  let version = after
  yield* eachPage(
    key,
    { after, reaches: after, until },
    {
      page: (page) =>
        Effect.suspend(() => {
          version = page.at(-1)?.event.version ?? version
          return visit(page.map((placed) => loggedOf(key, placed)))
        })
    }
  )
  return version
})

const loggedOf = ({ streamId }: StreamKey, { event, payload }: PlacedEvent): LoggedEvent => ({
  streamId,
  version: event.version,
  generation: event.generation,
  type: event.type,
  data: event.data,
  origin: event.origin,
  recordedAt: event.recordedAt,
  payloadBytes: payload?.length ?? null,
  purged: payload === null && event.payloadHash !== ""
})
