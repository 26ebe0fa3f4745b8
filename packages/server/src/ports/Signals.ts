/**
 * Between processes on one log: which streams have grown, and messages that are not stored. Both may be lost or
 * doubled, and neither is ever the truth: whoever is woken reads the log.
 */
import { Context, Effect, Layer, Stream } from "effect"
import type { StreamKey } from "../domain/Stream.ts"

/** A message to everybody who has a stream open, which is stored nowhere. */
export interface Broadcast {
  readonly key: StreamKey
  readonly frame: Uint8Array
}

export class Signals extends Context.Service<
  Signals,
  {
    /** Tells the other processes, after the commit. Waits for nobody, and cannot fail: a signal may be lost. */
    readonly announce: (keys: ReadonlyArray<StreamKey>) => Effect.Effect<void>
    /**
     * Streams that other processes have written to. "all": any may have grown, because more have than are worth naming,
     * or because signals may have been lost.
     */
    readonly wakeups: Stream.Stream<ReadonlyArray<StreamKey> | "all">
    /** Sends an ephemeral message to the other processes; dropped when it is too large or they are not reached. */
    readonly broadcast: (message: Broadcast) => Effect.Effect<void>
    /** What other processes broadcast. */
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
