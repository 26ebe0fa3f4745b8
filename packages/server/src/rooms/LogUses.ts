/**
 * The use that libraries make of the log, against which their quotas of events and payload bytes hold. A library is counted in
 * the log when a client writes to it, and again a minute later at the earliest; this process's own streams add what they
 * store and hear of in between. So a decision costs no query, and other processes may exceed a quota for that time.
 */
import { Clock, Effect, FiberSet, Semaphore } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import type { LogUse } from "../domain/Quota.ts"
import { makeKeyedResource } from "../internal/KeyedResource.ts"
import { monotonicMillis } from "../internal/monotonicMillis.ts"
import { EventLog } from "../ports/EventLog.ts"

export interface OpenLogUse {
  /** The use as far as it is known; nothing before the first count. */
  readonly known: () => LogUse
  /** The same, for a decision: has the library counted if the last count is old. */
  readonly forDecision: () => LogUse
  /** An event of the library is durable. */
  readonly add: (payload: Uint8Array | null) => void
}

/** The shortest time between two counts of a library, in milliseconds. */
const FRESH_MILLIS = 60_000
/** A library is counted again after so many times as long as its count took, if that is later. */
const FRESH_COUNTS = 100
/** After each count the process rests for so many times as long, however many libraries wait to be counted. */
const REST_COUNTS = 10
/** A use outlives its rooms, so that clients cannot make the log forget or count by closing and opening documents. */
const IDLE = "10 minutes"

const nothing: LogUse = { events: 0, payloadBytes: 0 }

/** Returns a function that opens the use of a library, until the scope closes. */
export const makeLogUses = Effect.gen(function* () {
  const [clock, log] = [yield* Clock.Clock, yield* EventLog]
  const run = yield* FiberSet.makeRuntime<never>()
  const counting = yield* Semaphore.make(1)
  const now = () => clock.currentTimeMillisUnsafe()

  const open = (libraryId: LibraryId): OpenLogUse => {
    let [known, countAt] = [nothing, Number.NEGATIVE_INFINITY]
    /** Stored since the count under way began. It may have seen some of them: they count twice until the next one. */
    let added = nothing
    const count = Effect.gen(function* () {
      const begun = monotonicMillis(clock)
      added = nothing
      known = plus(yield* log.use(libraryId), added)
      const took = monotonicMillis(clock) - begun
      countAt = now() + Math.max(FRESH_MILLIS, FRESH_COUNTS * took)
      yield* Effect.sleep(REST_COUNTS * took)
    })
    const retryLater = Effect.sync(() => {
      countAt = now() + FRESH_MILLIS
    })
    return {
      known: () => known,
      forDecision: () => {
        if (now() >= countAt) {
          countAt = Number.POSITIVE_INFINITY
          run(counting.withPermit(count).pipe(Effect.catchCause(() => retryLater)))
        }
        return known
      },
      add: (payload) => {
        const one = { events: 1, payloadBytes: payload?.length ?? 0 }
        known = plus(known, one)
        added = plus(added, one)
      }
    }
  }
  const uses = yield* makeKeyedResource({
    open: (libraryId: LibraryId) => Effect.sync(() => open(libraryId)),
    idle: IDLE
  })
  return uses.get
})

const plus = (a: LogUse, b: LogUse): LogUse => ({
  events: a.events + b.events,
  payloadBytes: a.payloadBytes + b.payloadBytes
})

/** For rooms that hold nothing to a quota. */
export const unusedLog: OpenLogUse = { known: () => nothing, forDecision: () => nothing, add: () => {} }
