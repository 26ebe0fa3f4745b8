/**
 * Signals over any way to send short texts to every process. Announcing waits for nobody: what is to be said gathers
 * while the last was under way, and then goes at once. Whatever is lost is found by a sweep.
 */
import { randomBytes } from "node:crypto"
import { Effect, Latch, PubSub, Schedule, type Scope, Stream } from "effect"
import { type StreamKey, streamName } from "../domain/Stream.ts"
import { withPatience } from "../internal/timeouts.ts"
import { type Broadcast, Signals } from "../ports/Signals.ts"
import { announcements, broadcastParts, MAX_BROADCAST_BYTES, makeReader } from "./SignalCodec.ts"

/** A way to reach every process on the log, the own one included. */
export interface Medium {
  /** Bytes of one text. */
  readonly maxBytes: number
  /** Sends texts to everybody who listens; may fail. */
  readonly send: (texts: ReadonlyArray<string>) => Effect.Effect<void, unknown>
  /** Listens: `onListening` once nothing is missed any more, then `onText` for every text. Fails when it hears no more. */
  readonly listen: (
    onListening: Effect.Effect<void>,
    onText: (text: string) => Effect.Effect<void>
  ) => Effect.Effect<never, unknown, Scope.Scope>
}

/** A lost signal delays by this much at most. */
const SWEEP = "5 seconds"
/** How long the end of a process may wait for others to be told. */
const LAST_WORDS = "2 seconds"
/** Streams that may wait to be announced; with more, they are left to the sweep. */
const MAX_ANNOUNCED = 10_000
/** Bytes of ephemeral messages that may wait to be sent; what comes then is dropped. */
const MAX_WAITING_BYTES = 1024 * 1024
/** Signals that a slow reader may be behind; older ones are left to the sweep. */
const MAX_BEHIND = 4096
/** After a lost connection: again at once, and then more and more slowly. */
const RECONNECT = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("2 seconds")])

export const makeTransportSignals = Effect.fnUntraced(function* (medium: Medium) {
  const own = randomBytes(9).toString("base64url")
  const wakeups = yield* PubSub.sliding<ReadonlyArray<StreamKey> | "all">(MAX_BEHIND)
  const broadcasts = yield* PubSub.sliding<Broadcast>(MAX_BEHIND)

  // ---- telling others

  let grown = new Map<string, StreamKey>()
  let messages: Array<Broadcast> = []
  let bytes = 0
  const some = yield* Latch.make()
  const tell = Effect.gen(function* () {
    some.closeUnsafe()
    const texts = [
      ...announcements(own, grown.values(), medium.maxBytes),
      ...messages.flatMap((message) => broadcastParts(own, message, medium.maxBytes))
    ]
    grown = new Map()
    messages = []
    bytes = 0
    yield* medium.send(texts)
  }).pipe(Effect.catch((error) => Effect.logDebug("Other processes were not told", error)))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(some.await, tell)))
  // A command that was done tells before it ends.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => (grown.size === 0 ? Effect.void : withPatience(tell, LAST_WORDS)))
  )

  // ---- being told

  // A command that listens to nobody needs no connection for it.
  const wanted = yield* Latch.make()
  const heard = <A>(from: PubSub.PubSub<A>) =>
    Stream.suspend(() => {
      wanted.openUnsafe()
      return Stream.fromPubSub(from)
    })
  const everything = PubSub.publish(wakeups, "all" as const)
  const listen = Effect.suspend(() => {
    const read = makeReader(own)
    return medium.listen(
      // What was said before is not known.
      Effect.asVoid(everything),
      Effect.fnUntraced(function* (text) {
        const found = read(text)
        if (found === undefined) return
        if ("frame" in found) yield* PubSub.publish(broadcasts, found)
        else yield* PubSub.publish(wakeups, found)
      })
    )
  }).pipe(
    Effect.scoped,
    Effect.tapError((error) => Effect.logWarning("No connection to hear of other processes' writes", error)),
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
    wakeups: heard(wakeups),
    broadcast: (message) =>
      Effect.sync(() => {
        const { length } = message.frame
        if (length > MAX_BROADCAST_BYTES || bytes + length > MAX_WAITING_BYTES) return
        messages.push(message)
        bytes += length
        some.openUnsafe()
      }),
    broadcasts: heard(broadcasts)
  })
})
