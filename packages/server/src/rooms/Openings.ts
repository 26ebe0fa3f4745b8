/**
 * The line in which streams wait to be read and opened. A few reads of openings run at a time, so that commits and the other
 * reads keep connections to the storage. The next place goes to the opening that began first: after a restart on a slow
 * database, the oldest newcomers are served while the later ones still wait. While the memory is short, only the oldest goes on.
 */
import { Context, Effect, Layer, Option, type Scope } from "effect"
import { isMemoryShort } from "../internal/MemoryPressure.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { StorageUnavailable } from "../ports/EventLog.ts"

/** The line is full. It is a failure of the storage, which does not keep up. */
export class TooManyOpenings extends StorageUnavailable {
  static of(waiting: number): TooManyOpenings {
    return new TooManyOpenings({ operation: "open a stream", cause: new Error(`${waiting} others wait to be opened`) })
  }
}

/** The memory is nearly full, and an older opening needs what is left. */
export class OpeningGaveWay extends StorageUnavailable {
  static of(): OpeningGaveWay {
    return new OpeningGaveWay({ operation: "open a stream", cause: new Error("the memory is nearly full") })
  }
}

/** Runs one read of an opening once it has a place. */
export type InTurn = <A, E, R>(read: Effect.Effect<A, E, R>) => Effect.Effect<A, E | OpeningGaveWay, R>

export interface OpeningLimits {
  /** Reads of openings at a time. Default: 8. */
  readonly maxOpenings?: number
  /** Openings that wait. Default: 1,000. */
  readonly maxWaitingOpenings?: number
}

/** How often an opening that waits for memory looks again. */
const LOOK = "50 millis"

interface Opening {
  /** The oldest has the least. */
  readonly place: number
  hasGivenWay: boolean
}

export class Openings extends Context.Service<
  Openings,
  {
    /** Begins an opening, which ends when the scope closes: it goes before those that begin later. */
    readonly begin: Effect.Effect<InTurn, TooManyOpenings, Scope.Scope>
    /** Ends all openings but the oldest at their next read, with `OpeningGaveWay`. Returns how many. */
    readonly giveWay: () => number
  }
>()("@sealog/server/Openings") {
  /** `isShort`: whether the memory is. */
  static readonly layer = (
    { maxOpenings = 8, maxWaitingOpenings = 1000 }: OpeningLimits = {},
    isShort: () => boolean = isMemoryShort
  ) =>
    Layer.effect(
      Openings,
      Effect.gen(function* () {
        /** The oldest opening first. */
        const waiting: Array<{ readonly place: number; readonly start: () => void }> = []
        /** In the order in which they began. */
        const openings = new Set<Opening>()
        const paused = new Set<Opening>()
        let [begun, free] = [0, maxOpenings]
        yield* Metrics.openingsWaiting.at({}).read(() => waiting.length + paused.size)

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
        const oldest = () => {
          for (const opening of openings) if (!opening.hasGivenWay) return opening
          return undefined
        }
        const hasToWait = (opening: Opening) => !opening.hasGivenWay && opening !== oldest() && isShort()
        /** Holds no place, so that the oldest has one. */
        const untilMemory = (opening: Opening) =>
          Effect.acquireUseRelease(
            Effect.sync(() => paused.add(opening)),
            () => Effect.repeat(Effect.sleep(LOOK), { while: () => hasToWait(opening) }),
            () => Effect.sync(() => paused.delete(opening))
          )
        const inTurnOf = (opening: Opening): InTurn =>
          Effect.fnUntraced(function* <A, E, R>(read: Effect.Effect<A, E, R>) {
            while (true) {
              if (hasToWait(opening)) yield* untilMemory(opening)
              if (opening.hasGivenWay) return yield* OpeningGaveWay.of()
              const done = yield* Effect.acquireUseRelease(
                take(opening.place),
                // The memory may have become short while it waited for the place.
                () => (opening.hasGivenWay || hasToWait(opening) ? Effect.succeedNone : Effect.asSome(read)),
                () => give
              )
              if (Option.isSome(done)) return done.value
            }
          })
        const begin = Effect.suspend(() => {
          const others = waiting.length + paused.size
          if (others >= maxWaitingOpenings) return Effect.fail(TooManyOpenings.of(others))
          return Effect.map(
            Effect.acquireRelease(
              Effect.sync(() => {
                const opening: Opening = { place: begun++, hasGivenWay: false }
                openings.add(opening)
                return opening
              }),
              (opening) => Effect.sync(() => openings.delete(opening))
            ),
            inTurnOf
          )
        })
        const giveWay = (): number => {
          let count = 0
          const first = oldest()
          for (const opening of openings) {
            if (opening === first || opening.hasGivenWay) continue
            opening.hasGivenWay = true
            count += 1
          }
          return count
        }
        return Openings.of({ begin, giveWay })
      })
    )
}
