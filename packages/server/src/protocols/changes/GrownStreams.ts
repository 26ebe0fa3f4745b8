/**
 * Tells which streams may have grown, whichever process wrote them: by this process's own commits, by signals, and every minute
 * by a look at all, because a signal may be lost. All listeners share one subscription. Without a listener, a commit costs a call.
 */
import { Context, Effect, Latch, Layer, Schedule, type Scope, Stream } from "effect"
import { holdsChanges } from "../../domain/changes/ChangeMessage.ts"
import { type StreamKey, streamName } from "../../domain/Stream.ts"
import { onScopeClose } from "../../internal/finalizers.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"
import { Signals } from "../../ports/Signals.ts"
import { DocumentRooms } from "../secsync/Rooms.ts"
import { LibraryRooms } from "../verdant/Rooms.ts"

/** The streams that may have grown. "all": any, new ones too. */
export type Grown = ReadonlyArray<StreamKey> | "all"

export interface Listener {
  /** Waits until some streams may have grown, and takes them. The first answer is "all". */
  readonly take: Effect.Effect<Grown>
}

export class GrownStreams extends Context.Service<
  GrownStreams,
  {
    /** Listens until the scope closes. `isOfInterest`: the streams to hear of. */
    readonly listen: (isOfInterest: (key: StreamKey) => boolean) => Effect.Effect<Listener, never, Scope.Scope>
    /** Tells listeners of a stream that this process wrote without a room: signals tell the other processes alone. */
    readonly tell: (key: StreamKey) => void
  }
>()("@sealog/server/GrownStreams") {
  static readonly layer = Layer.effect(
    GrownStreams,
    Effect.gen(function* () {
      const signals = yield* Signals
      const waiting = new Set<Waiting>()
      const add = (key: StreamKey): void => {
        for (const each of waiting) each.add(key)
      }
      const addAll = (): void => {
        for (const each of waiting) each.addAll()
      }
      for (const { onCommitted } of [yield* DocumentRooms, yield* LibraryRooms]) yield* onCommitted(add)
      const wakeups = Stream.runForEach(signals.wakeups, (keys) =>
        Effect.sync(() => (keys === "all" ? addAll() : keys.forEach(add)))
      )
      yield* Effect.forkScoped(wakeups)
      yield* Effect.forkScoped(Effect.repeat(Effect.sync(addAll), Schedule.spaced(LISTING)))
      const listen = Effect.fnUntraced(function* (isOfInterest: (key: StreamKey) => boolean) {
        const own = new Waiting(isOfInterest)
        yield* onScopeClose(() => waiting.delete(own))
        waiting.add(own)
        return { take: Effect.suspend(() => own.take()) }
      })
      return GrownStreams.of({ listen, tell: add })
    })
  )
}

/** More streams than this are taken as "all". */
const MAX_NAMED = 1000
/** A stream whose signal was lost is found by then. */
const LISTING = "1 minute"

/** The streams that a listener has not taken. Their number has a bound. */
class Waiting {
  private readonly isOfInterest: (key: StreamKey) => boolean
  private readonly some = Latch.makeUnsafe(true)
  private isAll = true
  private named = new Map<string, StreamKey>()

  constructor(isOfInterest: (key: StreamKey) => boolean) {
    this.isOfInterest = isOfInterest
  }

  add(key: StreamKey): void {
    if (this.isAll || !this.isOfInterest(key)) return
    this.named.set(streamName(key), key)
    if (this.named.size > MAX_NAMED) this.addAll()
    else this.some.openUnsafe()
  }

  addAll(): void {
    this.isAll = true
    this.named.clear()
    this.some.openUnsafe()
  }

  take(): Effect.Effect<Grown> {
    const taken = Effect.sync((): Grown => {
      const grown = this.isAll ? "all" : Array.from(this.named.values())
      this.isAll = false
      this.named.clear()
      this.some.closeUnsafe()
      return grown
    })
    return Effect.andThen(this.some.await, taken)
  }
}

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
