/**
 * Timeouts that hardly count the time in which this process stood still, because its machine was suspended or it was too
 * busy. Messages that arrived in that time are handled before the wait is given up.
 */
import { Duration, Effect, Option } from "effect"

/** A timeout is so many timers in a row. A pause of any length uses up only one of them. */
const STEPS = 10

/** Runs an effect; returns none if it takes longer than `patience`. */
export const withPatience = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  patience: Duration.Input
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.raceFirst(Effect.asSome(effect), Effect.as(sleepInSteps(patience), Option.none()))

export const sleepInSteps = (duration: Duration.Input): Effect.Effect<void> => {
  const step = Effect.sleep(Duration.times(Duration.fromInputUnsafe(duration), 1 / STEPS))
  return Effect.asVoid(Effect.repeat(step, { times: STEPS - 1 }))
}
