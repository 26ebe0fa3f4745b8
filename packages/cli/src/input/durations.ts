/** Durations given on the command line: 30s, 15m, 1h, 1d. */
import { CliFailure } from "../output/CliFailure.ts"

const MILLIS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Parses a duration into milliseconds. Fails with `DURATION_INVALID`. */
export const durationOf = (text: string): number => {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const millis = Number(amount) * (MILLIS[unit ?? ""] ?? Number.NaN)
  if (millis > 0) return millis
  throw new CliFailure({
    code: "DURATION_INVALID",
    message: `${text} is not a duration.`,
    exitCode: 2,
    tryThis: "a whole number and a unit: 30s, 15m, 1h, 1d"
  })
}
