/**
 * Tells which streams may have grown, whichever process wrote them: by this process's own commits, by signals, and every minute
 * by a look at all, because a signal may be lost. It costs a commit one entry in a set, and nothing while no one listens.
 */
import { Effect, Latch, Schedule, type Scope, Stream } from "effect"
import { holdsChanges } from "../../domain/changes/ChangeMessage.ts"
import { type StreamKey, streamName } from "../../domain/Stream.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"
import { Signals } from "../../ports/Signals.ts"
import { DocumentRooms } from "../secsync/Rooms.ts"
import { LibraryRooms } from "../verdant/Rooms.ts"

/** The streams that may have grown. "all": any, new ones too. */
export type Grown = ReadonlyArray<StreamKey> | "all"

export interface GrownStreams {
  /** Waits until some streams may have grown, and takes them. The first answer is "all". */
  readonly take: Effect.Effect<Grown>
}

/** More streams than this are taken as "all". */
const MAX_NAMED = 1000
/** A stream whose signal was lost is found by then. */
const LISTING = "1 minute"

/** Listens until the scope closes. `isOfInterest`: the streams to hear of. */
export const listenToGrown: (
  isOfInterest: (key: StreamKey) => boolean
) => Effect.Effect<GrownStreams, never, DocumentRooms | LibraryRooms | Signals | Scope.Scope> = Effect.fnUntraced(
  function* (isOfInterest) {
    const rooms = [yield* DocumentRooms, yield* LibraryRooms]
    const signals = yield* Signals
    const some = yield* Latch.make(true)
    let isAll = true
    let named = new Map<string, StreamKey>()
    const add = (key: StreamKey): void => {
      if (isAll || !isOfInterest(key)) return
      named.set(streamName(key), key)
      if (named.size > MAX_NAMED) addAll()
      else some.openUnsafe()
    }
    const addAll = (): void => {
      isAll = true
      named = new Map()
      some.openUnsafe()
    }
    for (const { onCommitted } of rooms) yield* onCommitted(add)
    const wakeups = Stream.runForEach(signals.wakeups, (keys) =>
      Effect.sync(() => (keys === "all" ? addAll() : keys.forEach(add)))
    )
    yield* Effect.forkScoped(wakeups)
    yield* Effect.forkScoped(Effect.repeat(Effect.sync(addAll), Schedule.spaced(LISTING)))
    const take = Effect.sync((): Grown => {
      const taken = isAll ? "all" : Array.from(named.values())
      isAll = false
      named = new Map()
      some.closeUnsafe()
      return taken
    })
    return { take: Effect.andThen(some.await, take) }
  }
)

/** Streams per statement. */
const STREAMS = 500

/**
 * The streams among `grown` that hold changes after the version that `readUpTo` returns. `readUpTo` returns undefined for a stream
 * that is of no interest.
 */
export const streamsWithMore: (
  grown: Grown,
  readUpTo: (key: StreamKey) => number | undefined
) => Effect.Effect<ReadonlyArray<StreamKey>, StorageUnavailable, EventLog> = Effect.fnUntraced(
  function* (grown, readUpTo) {
    const log = yield* EventLog
    const found: Array<StreamKey> = []
    const look = (key: StreamKey, version: number): void => {
      const read = holdsChanges(key) ? readUpTo(key) : undefined
      if (read !== undefined && version > read) found.push(key)
    }
    if (grown !== "all") {
      const heads = yield* log.heads(grown)
      grown.forEach((key, i) => look(key, heads[i]!.version))
      return found
    }
    let after: StreamKey | undefined
    while (true) {
      const page = yield* log.streams({ limit: STREAMS, payloads: false, ...(after && { after }) })
      for (const { key, version } of page) look(key, version)
      after = page.at(-1)?.key
      if (page.length < STREAMS) return found
    }
  }
)
