/**
 * The changes of libraries, whichever process stores them. A listener reads them from the log when it takes them, so a slow
 * one delays no other and takes no memory. Signals only tell which libraries to read.
 */
import { Array as Arr, Cause, Effect, Latch, Option, Schedule, type Scope, Stream } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import { isVerdant, VERDANT } from "../../domain/verdant/Events.ts"
import { changeOf, type LibraryChange } from "../../domain/verdant/views/LibraryChange.ts"
import { EventLog, StorageUnavailable } from "../../ports/EventLog.ts"
import { Signals } from "../../ports/Signals.ts"
import { readVerdantPage } from "../changes/readChanges.ts"
import { LibraryRooms, libraryKey } from "./Rooms.ts"

/**
 * The changes of a library, or of all libraries, after a version of each: in order, and once each within a library. A library
 * that `after` does not name begins with its first change. Without `after`, all begin with the next change that is stored.
 */
export type ChangeFeed = (
  libraryId: LibraryId | undefined,
  after: ReadonlyMap<LibraryId, number> | undefined
) => Stream.Stream<LibraryChange>

/** Streams per statement. */
const STREAMS = 500
/** Libraries that are remembered as grown; with more, all are listed. */
const MAX_NAMED = 1000
/** A library whose signal was lost is found by then. */
const LISTING = "1 minute"
/** An unavailable storage is tried again, more and more slowly. */
const RETRIES = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("2 seconds")])

const RETRIES_OF_DEFECT = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced(LISTING)])

/** The libraries that may have grown. "known": any that the listener has read. "all": any, new ones too. */
type Hint = ReadonlyArray<LibraryId> | "known" | "all"

export const makeChangeFeed = Effect.gen(function* () {
  const log = yield* EventLog
  const rooms = yield* LibraryRooms
  const signals = yield* Signals

  /** Every library and its stream's last version, page by page. */
  const listed = Stream.paginate(undefined as StreamKey | undefined, (after) =>
    log.streams({ streamId: VERDANT, limit: STREAMS, payloads: false, ...(after && { after }) }).pipe(
      contained,
      patiently,
      Effect.map((page) => {
        const last = page.length === STREAMS ? page.at(-1)?.key : undefined
        return [page.map(({ key, version }) => ({ libraryId: key.libraryId, version })), Option.fromUndefinedOr(last)]
      })
    )
  )

  const changes: ChangeFeed = (only, after) =>
    Effect.gen(function* () {
      // Listens before it reads the ends, so that no change falls between the two.
      const own = yield* listenTo(rooms)
      const read = new Map(after)
      const endsOf = (libraries: ReadonlyArray<LibraryId>) =>
        Stream.fromIterable(Arr.chunksOf(libraries, STREAMS)).pipe(
          Stream.mapEffect((some) =>
            Effect.map(patiently(contained(log.heads(some.map(libraryKey)))), (heads) =>
              some.map((libraryId, i) => ({ libraryId, version: heads[i]?.version ?? 0 }))
            )
          ),
          Stream.flattenIterable
        )
      const ends = only === undefined ? listed : endsOf([only])
      if (after === undefined) {
        yield* Stream.runForEach(ends, ({ libraryId, version }) => Effect.sync(() => read.set(libraryId, version)))
      }

      const grown = (hint: Hint): Stream.Stream<LibraryId> => {
        if (typeof hint !== "string") return Stream.fromIterable(hint)
        const candidates = hint === "known" && only === undefined ? endsOf(Array.from(read.keys())) : ends
        return candidates.pipe(
          Stream.filter(({ libraryId, version }) => version > (read.get(libraryId) ?? 0)),
          Stream.map(({ libraryId }) => libraryId)
        )
      }
      const pages = (libraryId: LibraryId) =>
        Stream.paginate(undefined, () =>
          Effect.gen(function* () {
            const { events, isLast } = yield* patiently(
              readVerdantPage(log, libraryKey(libraryId), read.get(libraryId) ?? 0)
            )
            // Yields to others: a storage in this process, and decoding, leave no other pause.
            yield* Effect.yieldNow
            const changes = events.flatMap(({ event, payload }) => changeOf(libraryId, event, payload) ?? [])
            const version = events.at(-1)?.event.version
            if (version !== undefined) read.set(libraryId, version)
            return [changes, isLast ? Option.none() : Option.some(undefined)] as const
          }).pipe(
            Effect.catchDefect((defect) =>
              Effect.andThen(
                Effect.logError(`Reading the changes of ${libraryId} failed`, Cause.die(defect)),
                // The other libraries are read on, and this one is tried again at its next change.
                only === undefined ? Effect.succeed([[], Option.none()] as const) : Effect.fail("again" as const)
              )
            ),
            Effect.retry(RETRIES_OF_DEFECT),
            Effect.orDie
          )
        )
      const hints: ReadonlyArray<Stream.Stream<Hint>> = [
        Stream.succeed("all"),
        Stream.fromSchedule(Schedule.spaced(LISTING)).pipe(Stream.map(() => "all")),
        Stream.map(signals.wakeups, (keys) => (keys === "all" ? "known" : librariesOf(keys))),
        own
      ]
      return Stream.mergeAll(hints, { concurrency: "unbounded" }).pipe(
        Stream.flatMap(grown),
        Stream.filter((libraryId) => only === undefined || libraryId === only),
        Stream.flatMap(pages)
      )
    }).pipe(Stream.unwrap)

  return changes
})

/** Hints from this process's own commits; their number is bounded while the listener does not take them. */
const listenTo: (rooms: LibraryRooms["Service"]) => Effect.Effect<Stream.Stream<Hint>, never, Scope.Scope> =
  Effect.fnUntraced(function* (rooms) {
    const some = yield* Latch.make()
    let named = new Set<LibraryId>()
    yield* rooms.onCommitted(({ libraryId }) => {
      // One more than the maximum stands for all.
      if (named.size <= MAX_NAMED) named.add(libraryId)
      some.openUnsafe()
    })
    const take = Effect.sync((): Hint => {
      const taken = named
      named = new Set()
      some.closeUnsafe()
      return taken.size > MAX_NAMED ? "all" : Array.from(taken)
    })
    return Stream.fromEffectRepeat(Effect.andThen(some.await, take))
  })

const librariesOf = (keys: ReadonlyArray<StreamKey>): ReadonlyArray<LibraryId> =>
  keys.flatMap((key) => (isVerdant(key) ? key.libraryId : []))

/** A defect of the storage ends no listener: it is logged, and the read is tried again. */
function contained<A>(effect: Effect.Effect<A, StorageUnavailable>): Effect.Effect<A, StorageUnavailable> {
  return Effect.catchDefect(effect, (cause) =>
    Effect.andThen(
      Effect.logError("Looking for changes of libraries failed", Cause.die(cause)),
      Effect.fail(new StorageUnavailable({ operation: "look for changes", cause }))
    )
  )
}

function patiently<A>(effect: Effect.Effect<A, StorageUnavailable>): Effect.Effect<A> {
  return effect.pipe(
    Effect.tapError((error) => Effect.logWarning(`Changes of libraries are delayed: ${error.message}`)),
    Effect.retry(RETRIES),
    Effect.orDie
  )
}
