/** The event log in memory, for tests. It is also the shortest description of a storage. */
import { Context, Effect, Exit, Layer, Semaphore } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { advance, emptyHead, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import {
  type Append,
  type Appended,
  EventLog,
  type LibrarySummary,
  type PlacedEvent,
  type StreamSummary
} from "../ports/EventLog.ts"

interface Stored {
  readonly key: StreamKey
  readonly head: StreamHead
  readonly events: ReadonlyArray<PlacedEvent>
}

/** Whether this fiber runs inside `exclusively`. */
const IsHolder = Context.Reference("@sealog/server/EventLogMemory/IsHolder", { defaultValue: () => false })

const make = Effect.gen(function* () {
  const streams = new Map<string, Stored>()
  const writing = yield* Semaphore.make(1)
  const get = (key: StreamKey): Stored => streams.get(streamName(key)) ?? { key, head: emptyHead, events: [] }

  const appendOne = ({ key, expectedVersion, expectedChain, events, purgeBefore = 0 }: Append): Appended => {
    const stored = get(key)
    const isExpected =
      stored.head.version === expectedVersion && (expectedChain ?? stored.head.chain) === stored.head.chain
    if (!isExpected) return { _tag: "Conflict", actualVersion: stored.head.version }
    const added = events.flatMap(({ event }) => event.uniqueKey ?? [])
    const isHeld = (uniqueKey: string) => stored.events.some(({ event }) => event.uniqueKey === uniqueKey)
    if (new Set(added).size < added.length || added.some(isHeld)) return { _tag: "UniqueKeyTaken" }
    const isInOrder = events.every(({ event }, i) => event.version === expectedVersion + i + 1)
    if (!isInOrder) throw new Error("The events of an append are not placed after the version that it expects")
    const purged = stored.events.slice(0, Math.max(0, purgeBefore - 1)).map(({ event }) => ({ event, payload: null }))
    streams.set(streamName(key), {
      key,
      head: events.reduce((head, { event }) => advance(head, event), stored.head),
      events: [
        ...purged,
        ...stored.events.slice(purged.length),
        ...events.map(({ event, payload }) => ({ event, payload: payload?.slice() ?? null }))
      ]
    })
    return { _tag: "Committed" }
  }

  const sorted = (libraryId?: LibraryId): ReadonlyArray<Stored> =>
    Array.from(streams.values())
      .filter(({ key }) => libraryId === undefined || key.libraryId === libraryId)
      .sort((a, b) => compareKeys(a.key, b.key))

  return EventLog.of({
    append: Effect.fnUntraced(function* (batch) {
      const append = Effect.sync(() => batch.map(appendOne))
      return yield* (yield* IsHolder) ? append : writing.withPermit(append)
    }),
    exclusively: (key, use) =>
      Effect.suspend(() => {
        const before = streams.get(streamName(key))
        const undo = Effect.sync(() => {
          if (before === undefined) streams.delete(streamName(key))
          else streams.set(streamName(key), before)
        })
        return use.pipe(
          Effect.provideService(IsHolder, true),
          Effect.onExit((exit) => (Exit.isFailure(exit) ? undo : Effect.void))
        )
      }).pipe(writing.withPermit),
    heads: (keys) => Effect.sync(() => keys.map((key) => get(key).head)),
    read: (key, { after, limit, maxBytes, payloads }) =>
      Effect.sync(() => {
        const events = get(key).events.slice(after, limit === undefined ? undefined : after + limit)
        return payloads === false ? events.map(({ event }) => ({ event, payload: null })) : fitting(events, maxBytes)
      }),
    tail: (key, options) =>
      Effect.sync(() => {
        const { head, events } = get(key)
        const newest = Math.max(
          0,
          events.findLastIndex(({ event }) => event.checkpoint)
        )
        const tail = events.slice(newest)
        return {
          before: events[newest - 1]?.event.chain ?? "",
          head,
          events: options?.payloads === false ? tail.map(({ event }) => ({ event, payload: null })) : tail
        }
      }),
    readKeyed: (key, after) =>
      Effect.sync(() => {
        const keyed = get(key)
          .events.map(({ event }) => event)
          .filter(({ uniqueKey }) => uniqueKey !== undefined)
        const known = keyed.findIndex(({ uniqueKey }) => uniqueKey === after)
        return known < 0 ? undefined : keyed.slice(known + 1)
      }),
    held: (key, before) => Effect.sync(() => sizes(get(key).events.filter(({ event }) => event.version < before))),
    streams: ({ libraryId, streamId, after, limit, payloads = true }) =>
      Effect.sync(() =>
        sorted(libraryId)
          .filter(({ key }) => streamId === undefined || key.streamId === streamId)
          .filter(({ key }) => after === undefined || compareKeys(key, after) > 0)
          .slice(0, limit)
          .map((stored) => ({ ...summary(stored), ...(!payloads && { payloads: 0, payloadBytes: 0, tailBytes: 0 }) }))
      ),
    countStreams: (libraryId) => Effect.sync(() => sorted(libraryId).length),
    use: (libraryId) =>
      Effect.sync(() => {
        const { events, payloadBytes } = librarySummary(libraryId, sorted(libraryId).map(summary))
        return { events, payloadBytes }
      }),
    libraries: ({ after, limit }) =>
      Effect.sync(() => {
        const ids = Array.from(new Set(sorted().map(({ key }) => key.libraryId)))
        return ids
          .filter((id) => after === undefined || compare(id, after) > 0)
          .slice(0, limit)
          .map((id) => librarySummary(id, sorted(id).map(summary)))
      })
  })
})

export const layerMemory: Layer.Layer<EventLog> = Layer.effect(EventLog, make)

/** The first events whose payloads have at most `maxBytes` together, and at least one event. */
const fitting = (events: ReadonlyArray<PlacedEvent>, maxBytes = Number.POSITIVE_INFINITY) => {
  let bytes = 0
  const end = events.findIndex(({ payload }, i) => {
    bytes += payload?.length ?? 0
    return bytes > maxBytes && i > 0
  })
  return end < 0 ? events : events.slice(0, end)
}

const sizes = (events: ReadonlyArray<PlacedEvent>) => {
  const kept = events.flatMap(({ payload }) => payload ?? [])
  return { payloads: kept.length, payloadBytes: kept.reduce((sum, { length }) => sum + length, 0) }
}

const summary = ({ key, head, events }: Stored): StreamSummary => {
  const checkpoint = events.findLast(({ event }) => event.checkpoint)?.event.version ?? 0
  return {
    ...head,
    ...sizes(events),
    tailBytes: sizes(events.filter(({ event }) => event.version >= checkpoint)).payloadBytes,
    key,
    checkpoint,
    ended: (events.at(-1)?.event.generation ?? 0) < head.generation,
    createdAt: events[0]?.event.recordedAt ?? 0,
    updatedAt: events.at(-1)?.event.recordedAt ?? 0
  }
}

const librarySummary = (libraryId: LibraryId, streams: ReadonlyArray<StreamSummary>): LibrarySummary => ({
  libraryId,
  streams: streams.length,
  events: streams.reduce((sum, stream) => sum + stream.version, 0),
  payloadBytes: streams.reduce((sum, stream) => sum + stream.payloadBytes, 0),
  updatedAt: Math.max(...streams.map((stream) => stream.updatedAt))
})

/** Compares by UTF-8 bytes as the databases do, so that pages are the same in every storage. */
const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

const compareKeys = (a: StreamKey, b: StreamKey): number =>
  compare(a.libraryId, b.libraryId) || compare(a.streamId, b.streamId)
