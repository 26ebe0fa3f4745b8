import { Clock, Effect } from "effect"
import { monotonicMillis } from "./monotonicMillis.ts"
import { nextSlice, TURN_MILLIS } from "./nextTurn.ts"

interface InTurns {
  <A, Made>(
    steps: Generator<Made | undefined, A, void>,
    options?: { readonly made?: (value: Made) => void }
  ): Effect.Effect<A>
  <A, Made>(
    steps: Generator<Made | undefined, A, void>,
    options: { readonly isStopped: () => boolean; readonly made?: (value: Made) => void }
  ): Effect.Effect<A | undefined>
}

/**
 * Does work in steps, and lets other work of the process go first every few milliseconds. Returns undefined when `isStopped`
 * says so before the work is done. `made` is called with each value that a step yields.
 */
export const inTurns: InTurns = Effect.fnUntraced(function* <A, Made>(
  steps: Generator<Made | undefined, A, void>,
  options: { readonly isStopped?: () => boolean; readonly made?: (value: Made) => void } = {}
) {
  const clock = yield* Clock.Clock
  let begun = monotonicMillis(clock)
  while (options.isStopped?.() !== true) {
    const { done, value } = steps.next()
    if (done === true) return value
    if (value !== undefined) options.made?.(value)
    if (monotonicMillis(clock) - begun < TURN_MILLIS) continue
    yield* nextSlice
    begun = monotonicMillis(clock)
  }
  return undefined
})
