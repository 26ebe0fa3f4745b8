/**
 * Memory for large messages. One that is parsed, verified and on its way to the log takes several times its size, and a
 * hundred clients may send theirs at once: so only so much is handled at a time, of all clients, and the rest waits.
 */
import { Effect, Semaphore } from "effect"

/** Characters of messages that are handled at once, whatever else is. */
const LARGE = 256 * 1024
/** Characters of larger ones that are handled at a time; one of more than that is handled alone. */
const AT_A_TIME = 64 * 1024 * 1024

export interface MemoryBudget {
  /**
   * Handles messages of so many characters: those that are large once there is room for them, which they take until they
   * are answered.
   */
  readonly handle: <A, E, R>(
    length: number,
    handling: Effect.Effect<A, E, R>,
    answered?: Effect.Effect<void>
  ) => Effect.Effect<A, E, R>
}

export const makeMemoryBudget = (): MemoryBudget => {
  const room = Semaphore.makeUnsafe(AT_A_TIME)
  return {
    handle: (length, handling, answered = Effect.void) =>
      length <= LARGE ? handling : Effect.tap(handling, answered).pipe(room.withPermits(Math.min(length, AT_A_TIME)))
  }
}
