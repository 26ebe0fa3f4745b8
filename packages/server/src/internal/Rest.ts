/**
 * The rest of some work, which a fiber has to wait for; undefined: the work is done. Most work on the way of a frame is done at
 * once, and a fiber would take longer than the work (docs/decisions/0080-frames-without-fibers.md).
 */
import { Effect } from "effect"

export type Rest<E = never> = Effect.Effect<void, E> | undefined

/** Does the work at once. If it throws, the rest dies of that. */
export const restOf = <E>(work: () => Rest<E>): Rest<E> => {
  try {
    return work()
  } catch (defect) {
    return Effect.die(defect)
  }
}

/** Waits for work that calls back with its rest, and does that too. */
export const waitFor = <E>(begin: (done: (rest: Rest<E>) => void) => void): Effect.Effect<void, E> =>
  Effect.callback((resume) => begin((rest) => resume(rest ?? Effect.void)))

/** Does `next` once the work before it is done: at once if nothing is left of it. */
export const andThen = <E, E2>(rest: Rest<E>, next: () => Rest<E2>): Rest<E | E2> =>
  rest === undefined ? next() : Effect.flatMap(rest, () => next() ?? Effect.void)
