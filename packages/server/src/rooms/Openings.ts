/**
 * The line in which streams wait to be read and opened. A few reads of openings run at a time, so that commits and the other
 * reads keep connections to the storage. The next place goes to the opening that began first: after a restart on a slow
 * database, the oldest newcomers are served while the later ones still wait.
 */
import { Context, Effect, Layer } from "effect"
import * as Metrics from "../metrics/Metrics.ts"
import { StorageUnavailable } from "../ports/EventLog.ts"

/** The line is full. It is a failure of the storage, which does not keep up. */
export class TooManyOpenings extends StorageUnavailable {
  static of(waiting: number): TooManyOpenings {
    return new TooManyOpenings({ operation: "open a stream", cause: new Error(`${waiting} others wait to be opened`) })
  }
}

/** Runs one read of an opening once it has a place. */
export type InTurn = <A, E, R>(read: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface OpeningLimits {
  /** Reads of openings at a time. Default: 8. */
  readonly maxOpenings?: number
  /** Openings that wait. Default: 1,000. */
  readonly maxWaitingOpenings?: number
}

export class Openings extends Context.Service<
  Openings,
  {
    /** Begins an opening: it goes before those that begin later. */
    readonly begin: Effect.Effect<InTurn, TooManyOpenings>
  }
>()("@sealog/server/Openings") {
  static readonly layer = ({ maxOpenings = 8, maxWaitingOpenings = 1000 }: OpeningLimits = {}) =>
    Layer.effect(
      Openings,
      Effect.gen(function* () {
        /** The oldest opening first. */
        const waiting: Array<{ readonly place: number; readonly start: () => void }> = []
        let begun = 0
        let free = maxOpenings
        yield* Metrics.openingsWaiting.at({}).read(() => waiting.length)

        const take = (place: number) =>
          Effect.callback<void>((resume) => {
            if (free > 0) {
              free -= 1
              return resume(Effect.void)
            }
            const before = waiting.findLastIndex((other) => other.place < place)
            waiting.splice(before + 1, 0, { place, start: () => resume(Effect.void) })
          })
        const give = Effect.sync(() => {
          const next = waiting.shift()
          if (next === undefined) free += 1
          else next.start()
        })
        const begin = Effect.suspend(() => {
          if (waiting.length >= maxWaitingOpenings) return Effect.fail(TooManyOpenings.of(waiting.length))
          const place = begun++
          const inTurn: InTurn = (read) =>
            Effect.acquireUseRelease(
              take(place),
              () => read,
              () => give
            )
          return Effect.succeed(inTurn)
        })
        return Openings.of({ begin })
      })
    )
}
