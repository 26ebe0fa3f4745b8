/** Waiting for a condition that announces nothing by itself. */
import { Effect } from "effect"

/** Far more than a condition takes to come true on an idle machine. */
const TIMEOUT = "45 seconds"

/** Waits until a condition holds, and dies with a description of what there is instead. Looks every few milliseconds. */
export const until = <E = never, R = never>(
  what: string,
  condition: Effect.Effect<boolean, E, R> | (() => boolean),
  describe: () => unknown = () => ""
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const look = typeof condition === "function" ? Effect.sync(condition) : condition
    while (!(yield* look)) yield* Effect.sleep("10 millis")
  }).pipe(
    Effect.timeoutOrElse({
      duration: TIMEOUT,
      orElse: () =>
        Effect.die(new Error(`Never came true: ${what}\n${JSON.stringify(describe(), null, 1).slice(0, 6000)}`))
    })
  )
