import { Effect } from "effect"

/** Calls the function at once. Returns its result as an effect, or its exception as a defect. */
export const evaluateNow = <A>(evaluate: () => A): Effect.Effect<A> => {
  try {
    return Effect.succeed(evaluate())
  } catch (defect) {
    return Effect.die(defect)
  }
}
