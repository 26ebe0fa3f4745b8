import { Effect, Schedule } from "effect"

/** Waits until something is so. */
export const until = (condition: () => boolean): Effect.Effect<boolean> =>
  Effect.repeat(Effect.sync(condition), { schedule: Schedule.spaced("5 millis"), until: (holds) => holds })
