import type { Clock } from "effect"

/** Milliseconds with fractions, of a clock that never goes back. They measure durations. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
