/**
 * The hybrid logical clock of Verdant's clients: schema version (4) · milliseconds (9) · counter (4) · node (7), all in
 * base 36. They are compared as the strings they are, with `<`: what a newer schema wrote comes after everything that an
 * older one did, whatever the time.
 */
import { Schema } from "effect"

const pattern = /^[0-9a-z]{24}$/

export const Timestamp = Schema.String.check(Schema.isPattern(pattern)).pipe(Schema.brand("Timestamp"))
export type Timestamp = typeof Timestamp.Type

const RADIX = 36
const TIME_START = 4
const TIME_END = 13
const MAX_MILLIS = RADIX ** (TIME_END - TIME_START) - 1

export const isTimestamp = (value: unknown): value is Timestamp => typeof value === "string" && pattern.test(value)

/** The author's wall clock. 0 for data that a migration made. */
export const millisOf = (timestamp: Timestamp): number => Number.parseInt(timestamp.slice(TIME_START, TIME_END), RADIX)

/** Clients refuse what is further ahead of their own clock, and stop at it. */
const MAX_DRIFT_MILLIS = 60_000

/** Whether it is not further ahead of a clock than clocks may differ. */
export const isTimely = (timestamp: string, now: number): boolean =>
  millisOf(timestamp as Timestamp) <= now + MAX_DRIFT_MILLIS

/** The smallest timestamp of the same schema version that any node can have made at this time. */
export const firstAt = (millis: number, { sameVersionAs }: { readonly sameVersionAs: Timestamp }): Timestamp => {
  const time = Math.min(Math.max(Math.floor(millis), 0), MAX_MILLIS)
  const digits = time.toString(RADIX).padStart(TIME_END - TIME_START, "0")
  return `${sameVersionAs.slice(0, TIME_START)}${digits}${"0".repeat(11)}` as Timestamp
}

/** Before everything that anybody writes. */
export const beforeAll = ({ sameVersionAs }: { readonly sameVersionAs: Timestamp }): Timestamp =>
  firstAt(0, { sameVersionAs })

export const isBeforeAll = (timestamp: Timestamp): boolean => timestamp === beforeAll({ sameVersionAs: timestamp })

/** The last of those that are known. */
export const latest = (timestamps: ReadonlyArray<string | null | undefined>): string | null =>
  timestamps.reduce<string | null>(
    (last, timestamp) => (timestamp != null && (last === null || timestamp > last) ? timestamp : last),
    null
  )

/** The earliest timestamp that is later by a millisecond, but no later than `last`. */
export const rightAfter = (timestamp: Timestamp, last: Timestamp): Timestamp => {
  const next = firstAt(millisOf(timestamp) + 1, { sameVersionAs: last })
  return next < last ? next : last
}
