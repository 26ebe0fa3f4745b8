/**
 * Bounds the memory of work that holds much parsed data, for all such work of the process. Parsed JSON takes up to twenty
 * times the memory of its text, so long work waits in line, and shorter work goes on beside it.
 */
import { Context, Effect, Semaphore } from "effect"
import type { LongWork } from "../domain/LongWork.ts"
import { inTurns } from "../internal/inTurns.ts"

/** Characters of one part of the line. Work that is shorter does not wait. */
const PART = 256 * 1024
/** Parts of the line, and the most that one piece of work takes: some are left for shorter work. */
const [PARTS, MOST] = [16, 12] as const

export const makeLongWorkLine = (): Semaphore.Semaphore => Semaphore.makeUnsafe(PARTS)

/** Default: one line for all of the process. */
export const LongWorkLine = Context.Reference<Semaphore.Semaphore>("@sealog/server/LongWorkLine", {
  defaultValue: makeLongWorkLine
})

/** Waits in line, and then does the steps as `inTurns` does. */
export const inLine = (
  { length, steps }: LongWork,
  options: { readonly isStopped: () => boolean } = { isStopped: () => false }
): Effect.Effect<void> => {
  const work = Effect.suspend(() => inTurns(steps(), options))
  if (length < PART) return work
  return Effect.flatMap(LongWorkLine, (line) => line.withPermits(Math.min(MOST, Math.ceil(length / PART)))(work))
}
