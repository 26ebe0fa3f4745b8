/**
 * Wakes this process for what the app writes by administrative operations, past the rooms. A storage's signals are for other
 * processes; they do not wake the one that announces.
 */
import { Context, Effect, Layer, PubSub, Stream } from "effect"
import type { StreamKey } from "../domain/Stream.ts"
import type { EventLog } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import type { Storage } from "./stores.ts"

/** More wait only if this process stands still. The oldest are dropped then, and found by the next sweep. */
const MAX_WAITING = 1000

/** The signals for administrative operations of the app: they wake this process as well. */
export class OwnWrites extends Context.Service<OwnWrites, Signals["Service"]>()("@sealog/server/node/OwnWrites") {
  /** Provides the storage with signals that hear of own writes, and `OwnWrites`. */
  static readonly layer = (storage: Storage) =>
    Layer.effectContext(
      Effect.gen(function* () {
        const signals = yield* Signals
        const own = yield* PubSub.sliding<ReadonlyArray<StreamKey>>(MAX_WAITING)
        const heard = Signals.of({ ...signals, wakeups: Stream.merge(signals.wakeups, Stream.fromPubSub(own)) })
        const announce: Signals["Service"]["announce"] = (keys) =>
          Effect.andThen(PubSub.publish(own, keys), signals.announce(keys))
        return Context.make(Signals, heard).pipe(Context.add(OwnWrites, OwnWrites.of({ ...heard, announce })))
      })
    ).pipe(Layer.provideMerge(storage)) satisfies Layer.Layer<EventLog | Signals | OwnWrites, unknown>
}
