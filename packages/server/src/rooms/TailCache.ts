/**
 * The tails of streams in memory: a session that joins is served from one. Sessions that join at one version share one
 * read, even while it is under way. A tail that is still in memory is extended by the events that follow it.
 */
import { Effect, Fiber, type Scope } from "effect"
import { advance, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import * as Metrics from "../metrics/Metrics.ts"
import type { EventLog, PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"

/** A stream's newest checkpoint, the events after it, and the head at which they end. Immutable. */
export interface Tail {
  readonly head: StreamHead
  readonly events: ReadonlyArray<PlacedEvent>
}

export interface TailCache {
  /**
   * Returns the tail that the log holds now, for a room that opens. The room's sessions are then served without another read.
   * Its payloads may be missing.
   */
  readonly open: (key: StreamKey) => Effect.Effect<Tail, StorageUnavailable>
  /** Returns a tail that ends at `version` or later. */
  readonly get: (key: StreamKey, version: number) => Effect.Effect<Tail, StorageUnavailable>
  /** Drops what is in memory of a stream, and what is being read, because the log was restored. */
  readonly forget: (key: StreamKey) => void
}

/** Bytes of all tails in memory. The least recently used tail goes first. */
const MAX_BYTES = 64 * 1024 * 1024
/** Events that one read adds to a tail. With more, the whole tail is read again. */
const MAX_ADDED = 1000
/** Bytes of an event without its payload, as measured. */
const EVENT_BYTES = 1024
/** A payload is in memory twice: in the tail, and in the frame that is made of the tail. */
const COPIES = 2

export const makeTailCache: (log: EventLog["Service"]) => Effect.Effect<TailCache, never, Scope.Scope> =
  Effect.fnUntraced(function* (log: EventLog["Service"]) {
    const scope = yield* Effect.scope
    const kept = new Map<string, { readonly tail: Tail; readonly bytes: number }>()
    const reads = new Map<string, { readonly version: number; readonly fiber: Fiber.Fiber<Tail, StorageUnavailable> }>()
    let bytes = 0
    yield* Metrics.showMemory("tails", () => bytes, MAX_BYTES)

    const forget = (name: string) => {
      bytes -= kept.get(name)?.bytes ?? 0
      kept.delete(name)
    }

    const keep = (name: string, tail: Tail) => {
      forget(name)
      const size = tail.events.reduce((sum, { payload }) => sum + EVENT_BYTES + COPIES * (payload?.length ?? 0), 0)
      kept.set(name, { tail, bytes: size })
      bytes += size
      for (const oldest of kept.keys()) {
        if (bytes <= MAX_BYTES) break
        forget(oldest)
      }
    }

    const get = Effect.fnUntraced(function* (key: StreamKey, version: number) {
      const name = streamName(key)
      const found = kept.get(name)
      if (found !== undefined && found.tail.head.version >= version) {
        kept.delete(name)
        kept.set(name, found)
        return found.tail
      }
      const underWay = reads.get(name)
      if (underWay !== undefined && underWay.version >= version) return yield* Fiber.join(underWay.fiber)
      // A fiber of the cache: the first session may leave while others wait for the same read.
      const fiber = yield* Effect.forkIn(found === undefined ? log.tail(key) : readOn(log, key, found.tail), scope)
      const read = { version, fiber }
      reads.set(name, read)
      fiber.addObserver((exit) => {
        if (reads.get(name) !== read) return
        reads.delete(name)
        if (exit._tag === "Success") keep(name, exit.value)
      })
      return yield* Fiber.join(fiber)
    })

    const open = Effect.fnUntraced(function* (key: StreamKey) {
      const name = streamName(key)
      const found = kept.get(name)
      const tail = yield* log.tail(key, { payloads: found === undefined })
      if (found === undefined) keep(name, tail)
      // The log may have been restored while the stream was closed.
      else if (found.tail.head.chain !== tail.head.chain) forget(name)
      return tail
    })

    return {
      open,
      get,
      forget: (key) => {
        forget(streamName(key))
        reads.delete(streamName(key))
      }
    }
  })

const readOn = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey, { head, events }: Tail) {
  const added = yield* log.read(key, { after: head.version, limit: MAX_ADDED })
  if (added.length === MAX_ADDED) return yield* log.tail(key)
  const checkpoint = added.findLastIndex(({ event }) => event.checkpoint)
  return {
    head: added.reduce((head, { event }) => advance(head, event), head),
    events: checkpoint === -1 ? [...events, ...added] : added.slice(checkpoint)
  }
})
