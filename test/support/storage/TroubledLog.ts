/** The log in memory, which fails or runs other effects in between when a test asks for it. */

import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { EventLog, StorageUnavailable } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { Context, Effect, Layer, PubSub, type Scope, Stream } from "effect"

export interface TroubledLog {
  readonly layer: Layer.Layer<EventLog>
  /** The log without the failures, as another process would see it. */
  readonly log: EventLog["Service"]
  readonly trouble: {
    /** Fails every read and append. */
    down: boolean
    /** Appends, and then reports a failure. */
    losesAnswers: boolean
    /** Runs once, right before the next read of events after this version. */
    beforeRead: { readonly after: number; readonly happens: Effect.Effect<unknown> } | undefined
    /** Runs once, right before the next append. */
    beforeNextAppend: Effect.Effect<unknown> | undefined
    /** Runs once, right before the next read by unique key. */
    beforeNextReadKeyed: Effect.Effect<unknown> | undefined
  }
}

export const makeTroubledLog: Effect.Effect<TroubledLog, never, Scope.Scope> = Effect.gen(function* () {
  const log = Context.get(yield* Layer.build(Layer.fresh(layerMemory)), EventLog)
  const trouble: TroubledLog["trouble"] = {
    down: false,
    losesAnswers: false,
    beforeRead: undefined,
    beforeNextAppend: undefined,
    beforeNextReadKeyed: undefined
  }
  const fail = (operation: string) => new StorageUnavailable({ operation, cause: new Error("made to fail") })
  const whenUp = <A>(operation: string, effect: Effect.Effect<A, StorageUnavailable>) =>
    Effect.suspend(() => (trouble.down ? Effect.fail(fail(operation)) : effect))
  const troubled = EventLog.of({
    append: (batch, options) =>
      Effect.gen(function* () {
        const before = trouble.beforeNextAppend ?? Effect.void
        trouble.beforeNextAppend = undefined
        yield* before
        const results = yield* whenUp("append", log.append(batch, options))
        return trouble.losesAnswers ? yield* fail("append") : results
      }),
    exclusively: (_, use) => whenUp("hold a stream", use),
    heads: (keys) => whenUp("read heads", log.heads(keys)),
    read: (key, options) =>
      Effect.gen(function* () {
        const before = trouble.beforeRead
        if (before?.after === options.after) {
          trouble.beforeRead = undefined
          yield* before.happens
        }
        return yield* whenUp("read", log.read(key, options))
      }),
    tail: (key, options) => whenUp("read a tail", log.tail(key, options)),
    readKeyed: (key, after) =>
      Effect.gen(function* () {
        const before = trouble.beforeNextReadKeyed ?? Effect.void
        trouble.beforeNextReadKeyed = undefined
        yield* before
        return yield* whenUp("read events by key", log.readKeyed(key, after))
      }),
    held: (key, before) => whenUp("measure", log.held(key, before)),
    streams: (options) => whenUp("list streams", log.streams(options)),
    use: (libraryId) => whenUp("count payloads", log.use(libraryId)),
    countStreams: (libraryId) => whenUp("count streams", log.countStreams(libraryId)),
    libraries: (options) => whenUp("list libraries", log.libraries(options))
  })
  return { layer: Layer.succeed(EventLog, troubled), log, trouble }
})

/** Signals between servers in one process: each receives the announcements of all, its own included. */
export const makeSharedSignals: Effect.Effect<Layer.Layer<Signals>> = Effect.gen(function* () {
  const written = yield* PubSub.unbounded<ReadonlyArray<StreamKey>>()
  return Layer.succeed(
    Signals,
    Signals.of({
      announce: (keys) => Effect.asVoid(PubSub.publish(written, keys)),
      wakeups: Stream.fromPubSub(written),
      broadcast: () => Effect.void,
      broadcasts: Stream.never
    })
  )
})
