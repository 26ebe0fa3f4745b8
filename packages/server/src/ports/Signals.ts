/**
 * Signals between the processes on one log: wake-ups for streams that have grown, and broadcasts that are not stored. A signal
 * may be lost or doubled. It is never the truth: a process that is woken reads the log.
 */
import { Context, Effect, Layer, Stream } from "effect"
import type { StreamKey } from "../domain/Stream.ts"

/** A message to all sessions that have a stream open. It is not stored. */
export interface Broadcast {
  readonly key: StreamKey
  readonly frame: Uint8Array
}

export class Signals extends Context.Service<
  Signals,
  {
    /** Announces streams to the other processes, after the commit. Does not wait and cannot fail: a signal may be lost. */
    readonly announce: (keys: ReadonlyArray<StreamKey>) => Effect.Effect<void>
    /**
     * Streams that other processes have written to. "all" stands for any stream: too many have grown to name them, or signals
     * may have been lost.
     */
    readonly wakeups: Stream.Stream<ReadonlyArray<StreamKey> | "all">
    /** Sends an ephemeral message to the other processes. Drops it if it is too large or there is no connection. */
    readonly broadcast: (message: Broadcast) => Effect.Effect<void>
    /** The broadcasts of other processes. */
    readonly broadcasts: Stream.Stream<Broadcast>
  }
>()("@sealog/server/Signals") {
  /** For a log that only this process writes. */
  static readonly layerNone = Layer.sync(Signals, () =>
    Signals.of({
      announce: () => Effect.void,
      wakeups: Stream.never,
      broadcast: () => Effect.void,
      broadcasts: Stream.never
    })
  )
}
