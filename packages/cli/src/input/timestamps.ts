/** Moments given on the command line: a time, or how long ago. */
import { CliFailure } from "../output/CliFailure.ts"

const MILLIS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** 2026-01-31, 2026-01-31T12:00 (UTC) or with a zone; or 30s, 15m, 2h, 7d ago. Milliseconds since 1970. */
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
    tryThis: "a time such as 2026-01-31T12:00Z, or how long ago: 30s, 15m, 2h, 7d"
  })
}
