/**
 * Signals by Redis, for more signals than a database's NOTIFY carries, or behind a connection pooler. Redis stores nothing, and no
 * write waits for it. While it is away, a sweep wakes the processes.
 */
import { Context, Effect, Layer, Queue, Redacted, Schema, Stream } from "effect"
import * as Redis from "effect/persistence/Redis"
import { Signals } from "../ports/Signals.ts"
import { makeTransportSignals } from "./TransportSignals.ts"

export interface RedisSignalsOptions {
  /** `redis://user:password@host:port/0`, or `rediss://` for TLS. */
  readonly url: Redacted.Redacted<string>
  /** The channel. Servers on different logs need different channels of one Redis. Default: `sealog`. */
  readonly channel?: string
}

/** The most bytes of one message, far above a usual one. */
const MAX_BYTES = 256 * 1024

class NotConnected extends Schema.TaggedError<NotConnected>()("NotConnected", {}) {
  override readonly message = "there is no connection to Redis"
}

/**
 * Sends signals by Redis, and receives them from Redis and from the storage's own signals: commands that work on the database
 * know no Redis.
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
        }),
        listen: Effect.fnUntraced(function* (onListening, onText) {
          // The client must not reconnect by itself: only a new `listen` wakes all streams for the signals that were missed.
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
      // The connection that listens also sends, so it is there from the beginning.
      yield* Effect.forkScoped(Stream.runDrain(redis.wakeups))
      return Signals.of({
        ...redis,
        wakeups: Stream.merge(redis.wakeups, storage.wakeups),
        broadcasts: Stream.merge(redis.broadcasts, storage.broadcasts)
      })
    })
  )
