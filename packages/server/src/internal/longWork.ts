/**
 * Work that holds much parsed data, of all in the process one piece at a time. Parsed JSON takes up to twenty times the memory
 * of its text.
 */
import { Context, Effect, Semaphore } from "effect"
import { inTurns } from "./inTurns.ts"

/** Default: one line for all of the process. */
export const LongWorkLine = Context.Reference<Semaphore.Semaphore>("@sealog/server/LongWorkLine", {
  defaultValue: () => Semaphore.makeUnsafe(1)
})

/** Waits in line, and then does the steps as `inTurns` does. */
export const inLine = <A>(
  steps: Generator<undefined, A, void>,
  options: { readonly isStopped: () => boolean } = { isStopped: () => false }
): Effect.Effect<A | undefined> => Effect.flatMap(LongWorkLine, (line) => line.withPermits(1)(inTurns(steps, options)))
