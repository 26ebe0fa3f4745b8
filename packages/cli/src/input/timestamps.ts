/** Times given on the command line: a date and time, or a duration ago. */
import { CliFailure } from "../output/CliFailure.ts"

const MILLIS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Parses 2026-01-31 or 2026-01-31T12:00, UTC or with a zone, or 30s, 15m, 2h, 7d before `now`, into milliseconds since
 * 1970. Fails with `TIME_INVALID`.
 */
export const timestampOf = (text: string, now: number): number => {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (unit !== undefined) return now - Number(amount) * MILLIS[unit]!
  const [, day, time = "", zone = "Z"] = /^(\d{4}-\d{2}-\d{2})(?:T([\d:.]+)(Z|[+-]\d{2}:\d{2})?)?$/.exec(text) ?? []
  const millis = Date.parse(time === "" ? `${day}` : `${day}T${time}${zone}`)
  if (!Number.isNaN(millis)) return millis
  throw new CliFailure({
    code: "TIME_INVALID",
    message: `${text} is not a time.`,
    exitCode: 2,
    tryThis: "a time such as 2026-01-31T12:00Z, or a duration ago: 30s, 15m, 2h, 7d"
  })
}
