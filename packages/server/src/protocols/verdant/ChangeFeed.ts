/**
 * What changes in libraries, whichever process stores it. It is read from the log and only when it is asked for, so who
 * is slow holds nobody up and takes no memory; word of what is new says only where to look.
 */
import { Array as Arr, Effect, Latch, Option, Schedule, type Scope, Stream } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import { FOLDED, type StreamKey } from "../../domain/Stream.ts"
import { isVerdant, VERDANT } from "../../domain/verdant/Events.ts"
import { changeOf, hasChange, type LibraryChange } from "../../domain/verdant/views/LibraryChange.ts"
import { EventLog, type PlacedEvent, type StorageUnavailable } from "../../ports/EventLog.ts"
import { Signals } from "../../ports/Signals.ts"
import { LibraryRooms, libraryKey } from "./Rooms.ts"

/**
 * The changes of a library, or of all, after a version of each: in order and each once within a library. A library that
 * is not named begins with its first; without `after`, all begin with what is stored from now on.
 */
export type ChangeFeed = (
  libraryId: LibraryId | undefined,
  after: ReadonlyMap<LibraryId, number> | undefined
) => Stream.Stream<LibraryChange>

/** Of one read: what is in memory of a library that has much to tell. A larger event comes alone. */
const PAGE_EVENTS = 100
const PAGE_BYTES = 1024 * 1024
/** Streams that are listed or looked at by one statement. */
const STREAMS = 500
/** Libraries that are remembered to have grown; with more, all are listed. */
const MAX_NAMED = 1000
/** A library that nobody told of is found by then. */
const LISTING = "1 minute"
/** A storage that is away is tried again, at once and then more and more slowly. */
const AGAIN = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("2 seconds")])

/** Which libraries may have grown. "known": any that was told of before. "all": any, new ones too. */
type Word = ReadonlyArray<LibraryId> | "known" | "all"

export const makeChangeFeed = Effect.gen(function* () {
  const log = yield* EventLog
  const rooms = yield* LibraryRooms
  const signals = yield* Signals

  /** Every library's stream and where it ends, page by page. */
  const listed = Stream.paginate(undefined as StreamKey | undefined, (after) =>
    log.streams({ streamId: VERDANT, limit: STREAMS, payloads: false, ...(after && { after }) }).pipe(
      patiently,
      Effect.map((page) => {
        const last = page.length === STREAMS ? page.at(-1)?.key : undefined
        return [page.map(({ key, version }) => ({ libraryId: key.libraryId, version })), Option.fromUndefinedOr(last)]
      })
    )
  )

  const changes: ChangeFeed = (only, after) =>
    Effect.gen(function* () {
      // From here on, what is written is looked for below, or known to have been written before.
      const own = yield* listenTo(rooms)
      const told = new Map(after)
      const endsOf = (libraries: ReadonlyArray<LibraryId>) =>
        Stream.fromIterable(Arr.chunksOf(libraries, STREAMS)).pipe(
          Stream.mapEffect((some) =>
            Effect.map(patiently(log.heads(some.map(libraryKey))), (heads) =>
              some.map((libraryId, i) => ({ libraryId, version: heads[i]?.version ?? 0 }))
            )
          ),
          Stream.flattenIterable
        )
      const ends = only === undefined ? listed : endsOf([only])
      if (after === undefined) {
        yield* Stream.runForEach(ends, ({ libraryId, version }) => Effect.sync(() => told.set(libraryId, version)))
      }

      const grown = (word: Word): Stream.Stream<LibraryId> => {
        if (typeof word !== "string") return Stream.fromIterable(word)
        const looked = word === "known" && only === undefined ? endsOf(Array.from(told.keys())) : ends
        return looked.pipe(
          Stream.filter(({ libraryId, version }) => version > (told.get(libraryId) ?? 0)),
          Stream.map(({ libraryId }) => libraryId)
        )
      }
      const pages = (libraryId: LibraryId) =>
        Stream.paginate(undefined, () =>
          Effect.gen(function* () {
            const { events, isLast } = yield* patiently(readOn(log, libraryKey(libraryId), told.get(libraryId) ?? 0))
            const version = events.at(-1)?.event.version
            if (version !== undefined) told.set(libraryId, version)
            // Let others have their turn: a storage in this process, and decoding, leave no other pause.
            yield* Effect.yieldNow
            const changes = events.flatMap(({ event, payload }) => changeOf(libraryId, event, payload) ?? [])
            return [changes, isLast ? Option.none() : Option.some(undefined)]
          })
        )
      const words: ReadonlyArray<Stream.Stream<Word>> = [
        Stream.succeed("all"),
        Stream.fromSchedule(Schedule.spaced(LISTING)).pipe(Stream.map(() => "all")),
        Stream.map(signals.wakeups, (keys) => (keys === "all" ? "known" : librariesOf(keys))),
        own
      ]
      return Stream.mergeAll(words, { concurrency: "unbounded" }).pipe(
        Stream.flatMap(grown),
        Stream.filter((libraryId) => only === undefined || libraryId === only),
        Stream.flatMap(pages)
      )
    }).pipe(Stream.unwrap)

  return changes
})

/** Word of this process's own commits: what gathers while nobody asks for it is bounded. */
const listenTo: (rooms: LibraryRooms["Service"]) => Effect.Effect<Stream.Stream<Word>, never, Scope.Scope> =
  Effect.fnUntraced(function* (rooms) {
    const some = yield* Latch.make()
    let named = new Set<LibraryId>()
    yield* rooms.onCommitted(({ libraryId }) => {
      // One more than are told by name stands for all.
      if (named.size <= MAX_NAMED) named.add(libraryId)
      some.openUnsafe()
    })
    const take = Effect.sync((): Word => {
      const taken = named
      named = new Set()
      some.closeUnsafe()
      return taken.size > MAX_NAMED ? "all" : Array.from(taken)
    })
    return Stream.fromEffectRepeat(Effect.andThen(some.await, take))
  })

const librariesOf = (keys: ReadonlyArray<StreamKey>): ReadonlyArray<LibraryId> =>
  keys.flatMap((key) => (isVerdant(key) ? key.libraryId : []))

/** The next events of a stream, and whether it ends with them. */
const readOn = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey, after: number) {
  const page = yield* log.read(key, { after, limit: PAGE_EVENTS, payloads: false })
  const isLast = page.length < PAGE_EVENTS
  if (!page.some(({ event }) => hasChange(event))) return { events: page, isLast }
  // A fold holds the whole library, and says nothing new: its payload is not read.
  const fold = page.findIndex(({ event }) => event.type === FOLDED)
  if (fold === 0) return { events: page.slice(0, 1), isLast: false }
  const limit = fold === -1 ? page.length : fold
  const events: ReadonlyArray<PlacedEvent> = yield* log.read(key, { after, limit, maxBytes: PAGE_BYTES })
  return { events, isLast: isLast && events.length === page.length }
})

function patiently<A>(effect: Effect.Effect<A, StorageUnavailable>): Effect.Effect<A> {
  return effect.pipe(
    Effect.tapError((error) => Effect.logWarning(`No changes are told of: ${error.message}`)),
    Effect.retry(AGAIN),
    Effect.orDie
  )
}
