/**
 * Wake-ups between processes on one log: which streams have grown. May be lost or doubled, never the truth: whoever
 * is woken reads the log.
 */
import { Context, Effect, Layer, Stream } from "effect"
import type { StreamKey } from "./domain/Stream.ts"

export class Signals extends Context.Service<
  Signals,
  {
    /** Tells the other processes, after the commit. */
    readonly announce: (keys: ReadonlyArray<StreamKey>) => Effect.Effect<void>
    /** Streams that other processes have written to. "all": any may have grown (more than is worth naming). */
    readonly wakeups: Stream.Stream<ReadonlyArray<StreamKey> | "all">
  }
>()("@sealog/server/Signals") {
  /** For a log that only this process writes. */
  static readonly layerNone = Layer.succeed(Signals, Signals.of({ announce: () => Effect.void, wakeups: Stream.never }))
}
