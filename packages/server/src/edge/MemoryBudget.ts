/**
 * Bounds the memory that large messages take, for all clients together. A message that is parsed, verified and on its way
 * to the log takes several times its size, and a hundred clients may send theirs at once. Messages beyond the budget wait.
 * Reasons: docs/decisions/0014-memory-for-large-messages.md.
 */
import { Effect, Semaphore } from "effect"
import { heapLimit } from "../internal/MemoryPressure.ts"
import * as Metrics from "../metrics/Metrics.ts"

/** Messages of at most so many characters do not count against the budget. */
const SMALL = 256 * 1024
/** Characters of large messages that are handled at a time, at most an eighth of the heap's bytes. A longer message is handled alone. */
const BUDGET = Math.min(64 * 1024 * 1024, Math.floor(heapLimit() / 8))

export interface MemoryBudget {
  /**
   * Handles messages of `length` characters together. Large ones wait for room in the budget, and keep it until they are
   * answered. Default of `answered`: once `handling` completes.
   */
  readonly handle: <A, E, R>(
    length: number,
    handling: Effect.Effect<A, E, R>,
    answered?: Effect.Effect<void>
  ) => Effect.Effect<A, E, R>
}

const delays = Metrics.framesDelayed.at({ cause: "memory_budget" })

export const makeMemoryBudget = (): MemoryBudget => {
  const room = Semaphore.makeUnsafe(BUDGET)
  /** Characters of the messages that are handled or wait. */
  let all = 0
  return {
    handle: (length, handling, answered = Effect.void) => {
      if (length <= SMALL) return handling
      const part = Math.min(length, BUDGET)
      const begin = Effect.sync(() => {
        all += part
        if (all > BUDGET) delays.add()
      })
      const end = Effect.sync(() => {
        all -= part
      })
      return Effect.acquireUseRelease(
        begin,
        () => Effect.tap(handling, answered).pipe(room.withPermits(part)),
        () => end
      )
    }
  }
}
