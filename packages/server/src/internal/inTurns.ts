import { Effect } from "effect"
import { nextSlice, TURN_MILLIS } from "./nextTurn.ts"

/**
 * Does work in steps, and lets other work of the process go first every few milliseconds. Returns undefined when `isStopped`
 * says so before the work is done. `made` is called with each value that a step yields.
 */
export const inTurns = Effect.fnUntraced(function* <A, Made>(
  steps: Generator<Made | undefined, A, void>,
  options: { readonly isStopped?: () => boolean; readonly made?: (value: Made) => void } = {}
) {
  let begun = performance.now()
  while (options.isStopped?.() !== true) {
    const { done, value } = steps.next()
    if (done === true) return value
    if (value !== undefined) options.made?.(value)
    if (performance.now() - begun < TURN_MILLIS) continue
    yield* nextSlice
    begun = performance.now()
  }
  return undefined
})
