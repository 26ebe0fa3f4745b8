/**
 * A backup as an `EventLog`: a copy into it is a backup, a copy out of it is a restore, and a replay of it is its
 * verification. Payloads that a later event of the backup purges are not shown.
 */
import { Cache, Effect } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import { type StreamKey, streamName } from "../../domain/Stream.ts"
import { BlobKey, type BlobStore, type BlobStoreUnavailable } from "../../ports/BlobStore.ts"
import {
  type Append,
  type Appended,
  EventLog,
  type LibrarySummary,
  type PlacedEvent,
  StorageUnavailable
} from "../../ports/EventLog.ts"
import { readLine } from "../transfer/Format.ts"
import { type BackupIndex, headOf, type IndexedStream, type PlacedRun, purgedBefore, summaryOf } from "./BackupIndex.ts"
import { type BackupUnusable, damaged, readBytes, textOfFrame, unavailableOf } from "./Format.ts"

/** Frames in memory. Streams are read in the order of their names, as the segments hold them. */
const FRAMES = 64

interface Frame {
  readonly segment: BlobKey
  readonly at: number
  readonly length: number
}

/** `add`: writes an event; without it, the log can only be read. */
export const makeBackupLog = Effect.fnUntraced(function* (
  store: BlobStore["Service"],
  index: BackupIndex,
  add?: (key: StreamKey, placed: PlacedEvent) => Effect.Effect<void, BackupUnusable | BlobStoreUnavailable>
) {
  const readFrame = Effect.fnUntraced(function* ({ segment, at, length }: Frame) {
    const bytes = yield* readBytes(store, segment, { offset: at, length }).pipe(
      Effect.mapError((error) => new StorageUnavailable({ operation: "read the backup", cause: unavailableOf(error) }))
    )
    if (bytes === undefined) return yield* Effect.die(damaged(segment, "it is missing"))
    // As in every storage, an event that cannot be read is a defect; the replay names it.
    const text = yield* Effect.orDie(textOfFrame(segment, bytes))
    const eventsByStream = new Map<string, Array<PlacedEvent>>()
    for (const line of text.split("\n").slice(0, -1)) {
      const read = readLine(line)
      if (read === undefined || "end" in read) {
        return yield* Effect.die(damaged(segment, `the frame at byte ${at} is not as a backup wrote it`))
      }
      const name = streamName(read.key)
      const events = eventsByStream.get(name) ?? []
      eventsByStream.set(name, events)
      events.push(read.placed)
    }
    return eventsByStream
  })
  const frames = yield* Cache.makeWith(
    (name: string) => {
      const [segment = "", at, length] = name.split(" ")
      return readFrame({ segment: BlobKey.make(segment), at: Number(at), length: Number(length) })
    },
    { capacity: FRAMES }
  )
  const eventsOf = (key: StreamKey, { at, length, segment }: PlacedRun) =>
    Effect.map(Cache.get(frames, `${segment} ${at} ${length}`), (frame) => frame.get(streamName(key)) ?? [])

  const read: EventLog["Service"]["read"] = Effect.fnUntraced(function* (key, options) {
    const { after, limit = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY, payloads = true } = options
    const stream = index.get(key)
    if (stream === undefined) return []
    const purged = purgedBefore(stream)
    const page: Array<PlacedEvent> = []
    let bytes = 0
    for (const run of stream.runs) {
      if (run.to <= after) continue
      for (const { event, payload } of yield* eventsOf(key, run)) {
        if (event.version <= after || event.version < run.from || event.version > run.to) continue
        const kept = payloads && event.version >= purged ? payload : null
        bytes += kept?.length ?? 0
        if (page.length >= limit || (bytes > maxBytes && page.length > 0)) return page
        page.push({ event, payload: kept })
      }
    }
    return page
  })

  const append = Effect.fnUntraced(
    function* (batch: ReadonlyArray<Append>) {
      const results: Array<Appended> = []
      for (const { key, expectedVersion, events } of batch) {
        const { version } = headOf(index.get(key))
        if (add === undefined) return yield* Effect.die(new Error("A backup that was written is not changed"))
        if (version !== expectedVersion) {
          results.push({ _tag: "Conflict", actualVersion: version })
          continue
        }
        for (const placed of events) yield* add(key, placed)
        results.push({ _tag: "Committed" })
      }
      return results
    },
    Effect.mapError((error) => new StorageUnavailable({ operation: "write the backup", cause: unavailableOf(error) }))
  )

  const tail: EventLog["Service"]["tail"] = Effect.fnUntraced(function* (key, options) {
    const stream = index.get(key)
    const { checkpoint = 0 } = stream === undefined ? {} : summaryOf(stream)
    const after = Math.max(0, checkpoint - 1)
    const events = yield* read(key, { after, ...options })
    const [previous] = after === 0 ? [] : yield* read(key, { after: after - 1, limit: 1, payloads: false })
    return { before: previous?.event.chain ?? ("" as const), head: headOf(stream), events }
  })

  return EventLog.of({
    append,
    read,
    tail,
    exclusively: (_, use) => use,
    heads: (keys) => Effect.sync(() => keys.map((key) => headOf(index.get(key)))),
    readKeyed: (key, after) =>
      Effect.map(read(key, { after: 0, payloads: false }), (placed) => {
        const keyed = placed.map(({ event }) => event).filter(({ uniqueKey }) => uniqueKey !== undefined)
        const known = keyed.findIndex(({ uniqueKey }) => uniqueKey === after)
        return known === -1 ? undefined : keyed.slice(known + 1)
      }),
    held: (key, before) =>
      Effect.map(read(key, { after: 0 }), (placed) => {
        const held = placed.flatMap(({ event, payload }) => (event.version < before ? (payload ?? []) : []))
        return { payloads: held.length, payloadBytes: held.reduce((sum, { length }) => sum + length, 0) }
      }),
    streams: ({ libraryId, streamId, after, limit }) =>
      Effect.sync(() => {
        const found: Array<IndexedStream> = []
        for (const stream of index.after(after)) {
          if (found.length >= limit) break
          if (libraryId !== undefined && stream.key.libraryId !== libraryId) continue
          if (streamId === undefined || stream.key.streamId === streamId) found.push(stream)
        }
        return found.map(summaryOf)
      }),
    countStreams: (libraryId) => Effect.sync(() => index.all().filter(({ key }) => key.libraryId === libraryId).length),
    use: (libraryId) =>
      Effect.sync(() => {
        const found = librariesOf(index, undefined).find((library) => library.libraryId === libraryId)
        return { events: found?.events ?? 0, payloadBytes: found?.payloadBytes ?? 0 }
      }),
    libraries: ({ after, limit }) => Effect.sync(() => librariesOf(index, after).slice(0, limit))
  })
})

/** The libraries after one, in the order of their ids. */
const librariesOf = (index: BackupIndex, after: LibraryId | undefined): ReadonlyArray<LibrarySummary> => {
  const byId = Map.groupBy(index.all(), ({ key }) => key.libraryId)
  const all = Array.from(byId, ([libraryId, streams]) => ({
    libraryId,
    streams: streams.length,
    events: streams.reduce((sum, stream) => sum + headOf(stream).version, 0),
    payloadBytes: 0,
    updatedAt: Math.max(...streams.map((stream) => summaryOf(stream).updatedAt))
  }))
  return all.slice(all.findIndex(({ libraryId }) => libraryId === after) + 1)
}
