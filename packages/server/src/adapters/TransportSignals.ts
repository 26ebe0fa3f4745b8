/**
 * Signals over any transport of short texts to every process. Announcing never waits: announcements gather while the last send
 * is under way, and the next send carries all of them. A sweep makes up for lost signals.
 */
import { Cause, Effect, Latch, Option, PubSub, Schedule, type Scope, Stream } from "effect"
import { type StreamKey, streamName } from "../domain/Stream.ts"
import { RandomId } from "../internal/randomId.ts"
import { withPatience } from "../internal/timeouts.ts"
import { type Broadcast, Signals } from "../ports/Signals.ts"
import { announcements, broadcastParts, MAX_BROADCAST_BYTES, makeReader } from "./SignalCodec.ts"

/** A transport to every process on the log, including the sending one. */
export interface Medium {
  /** The most UTF-8 bytes of one text. */
  readonly maxBytes: number
  /** Sends texts to every process that listens. May fail. Is interrupted if it takes longer than five seconds. */
  readonly send: (texts: ReadonlyArray<string>) => Effect.Effect<void, unknown>
  /** Runs `onListening` once it misses no text any more, then `onText` for every text. Fails when the connection is lost. */
  readonly listen: (
    onListening: Effect.Effect<void>,
    onText: (text: string) => Effect.Effect<void>
  ) => Effect.Effect<never, unknown, Scope.Scope>
}

/** Every process is woken this often. So a lost signal delays a delivery by this much at most. */
const SWEEP = "5 seconds"
/**
 * How long a send may take, besides the time that the transport needs to let it go. Its signals are lost then, and the next send begins: a network that swallows all bytes never tells
 * that a send will not end.
 */
const SENDS_WITHIN = "5 seconds"
/** How long the end of a process may wait to send its last announcements. */
const LAST_WORDS = "2 seconds"
/** The most streams that may wait to be announced. The sweep wakes the readers of further ones. */
const MAX_ANNOUNCED = 10_000
/** The most bytes of broadcasts that may wait to be sent. Further broadcasts are dropped. */
const MAX_WAITING_BYTES = 1024 * 1024
/** The most signals that a slow reader may be behind. The sweep makes up for older ones. */
const MAX_BEHIND = 1024
/** Reconnects at once after a lost connection, and then more and more slowly. */
const RECONNECT = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("2 seconds")])

export const makeTransportSignals = Effect.fnUntraced(function* (medium: Medium) {
  const own = (yield* RandomId)()
  const wakeups = yield* PubSub.sliding<ReadonlyArray<StreamKey> | "all">(MAX_BEHIND)
  const broadcasts = yield* PubSub.sliding<Broadcast>(MAX_BEHIND)

  // ---- sending

  let grown = new Map<string, StreamKey>()
  /** Broadcasts as texts: a frame may be a view of a larger buffer, which it would keep in memory. */
  let messages: Array<string> = []
  let bytes = 0
  const some = yield* Latch.make()
  const send = Effect.gen(function* () {
    some.closeUnsafe()
    const texts = [...announcements(own, grown.values(), medium.maxBytes), ...messages]
    grown = new Map()
    messages = []
    bytes = 0
    const sent = yield* withPatience(medium.send(texts), SENDS_WITHIN)
    if (Option.isNone(sent)) yield* Effect.logWarning("The signals of this process do not reach others in time")
  }).pipe(
    Effect.catch((error) => Effect.logDebug("Announcing to other processes failed", error)),
    // The sweep makes up for what was not sent; the next announcement must still be.
    Effect.catchDefect((defect) => Effect.logError("Announcing to other processes failed", Cause.die(defect)))
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(some.await, send)))
  // A command sends its last announcements before it ends.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => (grown.size === 0 ? Effect.void : withPatience(send, LAST_WORDS)))
  )

  // ---- receiving

  // A command that listens to no signals needs no connection for them.
  const wanted = yield* Latch.make()
  /** Subscribes before it asks for the connection, so that the "all" of a new connection is not missed. */
  const streamOf = <A>(pubsub: PubSub.PubSub<A>): Stream.Stream<A> =>
    Stream.unwrap(
      Effect.map(PubSub.subscribe(pubsub), (subscription) => {
        wanted.openUnsafe()
        return Stream.fromSubscription(subscription)
      })
    )
  const everything = PubSub.publish(wakeups, "all" as const)
  const listen = Effect.suspend(() => {
    const read = makeReader(own)
    return medium.listen(
      // Signals before the connection were missed, so any stream may have grown.
      Effect.asVoid(everything),
      (text) =>
        Effect.suspend((): Effect.Effect<unknown> => {
          const found = read(text)
          if (found === undefined) return Effect.void
          return "frame" in found ? PubSub.publish(broadcasts, found) : PubSub.publish(wakeups, found)
        }).pipe(
          Effect.asVoid,
          Effect.catchDefect((defect) => Effect.logError("Reading a signal failed", Cause.die(defect)))
        )
    )
  }).pipe(
    Effect.scoped,
    Effect.catchDefect((defect) => Effect.fail(defect)),
    Effect.tapError((error) => Effect.logWarning("No connection for the signals of other processes", error)),
    Effect.retry(RECONNECT),
    Effect.ignore
  )
  const sweep = Effect.forever(Effect.andThen(Effect.sleep(SWEEP), everything))
  yield* Effect.forkScoped(Effect.andThen(wanted.await, Effect.all([listen, sweep], { concurrency: 2 })))

  return Signals.of({
    announce: (keys) =>
      Effect.sync(() => {
        for (const key of keys) if (grown.size < MAX_ANNOUNCED) grown.set(streamName(key), key)
        some.openUnsafe()
      }),
    wakeups: streamOf(wakeups),
    broadcast: (message) =>
      Effect.sync(() => {
        const { length } = message.frame
        if (length > MAX_BROADCAST_BYTES || bytes + length > MAX_WAITING_BYTES) return
        messages.push(...broadcastParts(own, message, medium.maxBytes))
        bytes += length
        some.openUnsafe()
      }),
    broadcasts: streamOf(broadcasts)
  })
})
