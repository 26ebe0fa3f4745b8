/** The log in memory as a slow database shows it: each call takes a connection of a small pool for a while. */
import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { type StreamKey, streamName } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Context, Effect, Latch, Layer, type Scope, Semaphore } from "effect"

export interface SlowLog {
  readonly layer: Layer.Layer<EventLog>
  /** The log without delays. */
  readonly log: EventLog["Service"]
  /** The calls since the start, in the order in which they got a connection: operation and stream. */
  readonly calls: ReadonlyArray<SlowCall>
  /** Milliseconds that each call takes from now on. */
  delay: number
  /** While it is closed, reads of tails keep their connections. */
  readonly tails: Latch.Latch
}

export interface SlowCall {
  readonly operation: "append" | "heads" | "read" | "tail" | "other"
  readonly stream: string | undefined
}

/** `connections`: the calls that run at a time; the others wait for one of them, in their order. */
export const makeSlowLog: (connections: number) => Effect.Effect<SlowLog, never, Scope.Scope> = Effect.fnUntraced(
  function* (connections: number) {
    const log = Context.get(yield* Layer.build(Layer.fresh(layerMemory)), EventLog)
    const pool = Semaphore.makeUnsafe(connections)
    const tails = yield* Latch.make(true)
    const calls: Array<SlowCall> = []
    const slowly = <A, E>(operation: SlowCall["operation"], key: StreamKey | undefined, call: Effect.Effect<A, E>) =>
      Effect.sync(() => void calls.push({ operation, stream: key && streamName(key) })).pipe(
        Effect.andThen(Effect.suspend(() => (slow.delay === 0 ? Effect.void : Effect.sleep(slow.delay)))),
        Effect.andThen(call),
        pool.withPermit
      )
    const layer = Layer.succeed(
      EventLog,
      EventLog.of({
        append: (batch, options) => slowly("append", batch[0].key, log.append(batch, options)),
        exclusively: (key, use) => slowly("other", key, log.exclusively(key, use)),
        heads: (keys) => slowly("heads", keys[0], log.heads(keys)),
        read: (key, options) => slowly("read", key, log.read(key, options)),
        tail: (key, options) => slowly("tail", key, tails.whenOpen(log.tail(key, options))),
        readKeyed: (key, after) => slowly("other", key, log.readKeyed(key, after)),
        held: (key, before) => slowly("other", key, log.held(key, before)),
        streams: (options) => slowly("other", undefined, log.streams(options)),
        use: (libraryId) => slowly("other", undefined, log.use(libraryId)),
        countStreams: (libraryId) => slowly("other", undefined, log.countStreams(libraryId)),
        libraries: (options) => slowly("other", undefined, log.libraries(options))
      })
    )
    const slow: SlowLog = { layer, log, calls, tails, delay: 0 }
    return slow
  }
)
