/**
 * Waiting for others, but not for ever. Time in which this process itself stood still, as its machine did or it had too
 * much to do, does not count: what others have sent meanwhile is heard before they are given up.
 */
import { Duration, Effect, Option } from "effect"

/** A stop of whatever length takes one step of the time alone. */
const STEPS = 10

export const withPatience = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  patience: Duration.Input
): Effect.Effect<Option.Option<A>, E, R> =>
  Effect.raceFirst(Effect.asSome(effect), Effect.as(sleepInSteps(patience), Option.none()))

export const sleepInSteps = (duration: Duration.Input): Effect.Effect<void> => {
  const step = Effect.sleep(Duration.times(Duration.fromInputUnsafe(duration), 1 / STEPS))
  return Effect.asVoid(Effect.repeat(step, { times: STEPS - 1 }))
}
