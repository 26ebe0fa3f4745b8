/**
 * Signals by Redis, for more than a database's NOTIFY carries, or where a pooler stands before it. Redis keeps nothing and
 * is waited for by nobody: while it is away, processes hear of each other's writes by the sweep.
 */
import { Context, Effect, Layer, Queue, Redacted, Schema, Stream } from "effect"
import * as Redis from "effect/persistence/Redis"
import { Signals } from "../ports/Signals.ts"
import { makeTransportSignals } from "./TransportSignals.ts"

export interface RedisSignalsOptions {
  /** `redis://user:password@host:port/0`, or `rediss://` for TLS. */
  readonly url: Redacted.Redacted<string>
  /** Servers on different logs that share one Redis need channels of their own. Default: `sealog`. */
  readonly channel?: string
}

/** Far more than anybody says at once. */
const MAX_BYTES = 256 * 1024
const SEND_TIMEOUT = "5 seconds"

class NotConnected extends Schema.TaggedError<NotConnected>()("NotConnected", {}) {
  override readonly message = "there is no connection to Redis"
}

/**
 * Tells other processes by Redis, and hears them there; what is heard by the storage's own signals still counts, because
 * commands that work on the database know of no Redis.
 */
export const layer = ({ url, channel = "sealog" }: RedisSignalsOptions) =>
  Layer.effect(
    Signals,
    Effect.gen(function* () {
      // The Redis client is 650 modules: only a process that uses it loads it.
      const NodeRedis = yield* Effect.promise(() => import("@effect/platform-node/NodeRedis"))
      const storage = yield* Signals
      let connected: Redis.Redis["Service"] | undefined
      const redis = yield* makeTransportSignals({
        maxBytes: MAX_BYTES,
        send: Effect.fnUntraced(function* (texts) {
          if (connected === undefined) return yield* new NotConnected()
          const redis = connected
          yield* Effect.forEach(texts, (text) => redis.send("PUBLISH", channel, text), { discard: true })
        }, Effect.timeout(SEND_TIMEOUT)),
        listen: Effect.fnUntraced(function* (onListening, onText) {
          // A connection that is lost is not mended behind our back: what was said meanwhile is asked for by the next.
          const client = NodeRedis.layer({
            url: Redacted.value(url),
            disableOfflineQueue: true,
            socket: { reconnectStrategy: false }
          })
          const redis = Context.get(yield* Layer.build(client), Redis.Redis)
          const messages = yield* redis.subscribe(channel)
          connected = redis
          yield* Effect.addFinalizer(() =>
            Effect.sync(() => {
              connected = undefined
            })
          )
          yield* onListening
          return yield* Effect.forever(Effect.flatMap(Queue.take(messages), ({ message }) => onText(message)))
        })
      })
      return Signals.of({
        ...redis,
        wakeups: Stream.merge(redis.wakeups, storage.wakeups),
        broadcasts: Stream.merge(redis.broadcasts, storage.broadcasts)
      })
    })
  )
