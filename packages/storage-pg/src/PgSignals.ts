/**
 * Wake-ups by LISTEN and NOTIFY. NOTIFY takes a lock that all of a database's notifying transactions share, so it has
 * transactions of its own, after the commits that it tells of, and one tells of all that gathered while the last was
 * under way. Whatever is lost is found by a sweep.
 */
import { randomBytes } from "node:crypto"
import { PgClient } from "@effect/sql-pg"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { streamName } from "@sealog/server/domain/Stream"
import { type Broadcast, Signals } from "@sealog/server/Signals"
import { Effect, Latch, PubSub, Queue, Schedule, Stream } from "effect"
import { announcements, broadcastParts, MAX_BROADCAST_BYTES, makeReader } from "./Notifications.ts"
import { rootOf } from "./Unavailable.ts"

const CHANNEL = "sealog"
/** How long the end of a process may wait for others to be told. */
const LAST_WORDS = "2 seconds"
/** A lost signal delays by this much at most. */
const SWEEP = "5 seconds"
/** Streams that may wait to be announced; with more, they are left to the sweep. */
const MAX_ANNOUNCED = 10_000
/** Bytes of ephemeral messages that may wait to be sent; what comes then is dropped. */
const MAX_WAITING_BYTES = 1024 * 1024
/** Signals that a slow reader may be behind; older ones are left to the sweep. */
const MAX_BEHIND = 4096
/** After a lost connection: again at once, and then more and more slowly. */
const RECONNECT = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("2 seconds")])

export const makeSignals = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
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
    const payloads = [
      ...announcements(own, grown.values()),
      ...messages.flatMap((message) => broadcastParts(own, message))
    ]
    grown = new Map()
    messages = []
    bytes = 0
    yield* sql`SELECT pg_notify(${CHANNEL}, payload) FROM json_array_elements_text(${JSON.stringify(payloads)}::json) payload`
  }).pipe(Effect.catch((error) => Effect.logDebug("Other processes were not told", rootOf(error))))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(some.await, tell)))
  // A command that was done tells before it ends.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => (grown.size === 0 ? Effect.void : Effect.timeoutOption(tell, LAST_WORDS)))
  )

  // ---- being told

  // A command that listens to nobody needs no connection for it.
  const wanted = yield* Latch.make()
  const heard = <A>(from: PubSub.PubSub<A>) =>
    Stream.suspend(() => {
      wanted.openUnsafe()
      return Stream.fromPubSub(from)
    })
  const listen = Effect.gen(function* () {
    const notifications = yield* sql.listen(CHANNEL)
    // What was said before is not known.
    yield* PubSub.publish(wakeups, "all" as const)
    const read = makeReader(own)
    return yield* Effect.forever(
      Effect.flatMap(Queue.take(notifications), ({ payload }) => {
        const found = read(payload)
        if (found === undefined) return Effect.void
        return "frame" in found ? PubSub.publish(broadcasts, found) : PubSub.publish(wakeups, found)
      })
    )
  }).pipe(
    Effect.scoped,
    Effect.tapError((error) => Effect.logWarning("No connection to hear of other processes' writes", rootOf(error))),
    Effect.retry(RECONNECT),
    Effect.ignore
  )
  const sweep = Effect.forever(Effect.andThen(Effect.sleep(SWEEP), PubSub.publish(wakeups, "all" as const)))
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
