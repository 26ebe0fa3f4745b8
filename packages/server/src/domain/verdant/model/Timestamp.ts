/**
 * Timestamps of the hybrid logical clock of Verdant's clients: schema version (4 digits), milliseconds (9), counter (4) and
 * node (7), all in base 36. Compare them as strings, with `<`. A timestamp of a newer schema comes after every one of an
 * older schema, whatever the time.
 */
import { Schema } from "effect"

const pattern = /^[0-9a-z]{24}$/

export const Timestamp = Schema.String.check(Schema.isPattern(pattern)).pipe(Schema.brand("Timestamp"))
export type Timestamp = typeof Timestamp.Type

const RADIX = 36
const TIME_START = 4
const TIME_END = 13
const COUNTER_END = 17
const MAX_MILLIS = RADIX ** (TIME_END - TIME_START) - 1

export const isTimestamp = (value: unknown): value is Timestamp => typeof value === "string" && pattern.test(value)

/** The author's wall clock, in milliseconds since 1970. 0 for data that a migration made. */
export const millisOf = (timestamp: Timestamp): number => Number.parseInt(timestamp.slice(TIME_START, TIME_END), RADIX)

/** The largest lead over a client's own clock that it accepts. A greater one stops the client's sync. */
const MAX_DRIFT_MILLIS = 60_000

/** Whether clients whose clock says `now` accept the timestamp. */
export const isTimely = (timestamp: string, now: number): boolean => millisUntilTimely(timestamp, now) <= 0

/** Milliseconds until clients accept the timestamp; 0 or less: they do. */
export const millisUntilTimely = (timestamp: string, now: number): number =>
  millisOf(timestamp as Timestamp) - MAX_DRIFT_MILLIS - now

const schemaVersionOf = (timestamp: string): number => Number.parseInt(timestamp.slice(0, TIME_START), RADIX)

/**
 * The greatest schema version, and how much greater than that of a library's content others may be. Only an import brings
 * greater versions.
 */
const MAX_VERSION = 9999
const MAX_VERSION_STEP = 1000

/**
 * Whether the schema version of a timestamp can be an app's. A timestamp of a huge version would come after all others, for
 * ever. `newest`: the greatest timestamp of the library's content; null: it has none.
 */
export const isOfPlausibleVersion = (timestamp: string, newest: string | null): boolean => {
  const seen = newest === null ? MAX_VERSION : schemaVersionOf(newest)
  const greatest = seen > MAX_VERSION ? seen + MAX_VERSION_STEP : Math.min(seen + MAX_VERSION_STEP, MAX_VERSION)
  return !(schemaVersionOf(timestamp) > greatest)
}

/** The smallest timestamp that any node can make at this time, in the same schema version. Clamps `millis` to the range. */
export const firstAt = (millis: number, { sameVersionAs }: { readonly sameVersionAs: Timestamp }): Timestamp => {
  const time = Math.min(Math.max(Math.floor(millis), 0), MAX_MILLIS)
  const digits = time.toString(RADIX).padStart(TIME_END - TIME_START, "0")
  return `${sameVersionAs.slice(0, TIME_START)}${digits}${"0".repeat(11)}` as Timestamp
}

/** The smallest timestamp of a schema version: no operation is older. */
export const beforeAll = ({ sameVersionAs }: { readonly sameVersionAs: Timestamp }): Timestamp =>
  firstAt(0, { sameVersionAs })

export const isBeforeAll = (timestamp: Timestamp): boolean => timestamp === beforeAll({ sameVersionAs: timestamp })

/** The latest of the timestamps that are known; null when none is. */
export const latest = (timestamps: ReadonlyArray<string | null | undefined>): string | null =>
  timestamps.reduce<string | null>(
    (last, timestamp) => (timestamp != null && (last === null || timestamp > last) ? timestamp : last),
    null
  )

/** The first timestamp of the next millisecond, but no later than `last`. */
export const rightAfter = (timestamp: Timestamp, last: Timestamp): Timestamp => {
  const next = firstAt(millisOf(timestamp) + 1, { sameVersionAs: last })
  return next < last ? next : last
}

/** Greater counters stop the sync of clients. */
const MAX_COUNTER = 65_535

/** Makes rising timestamps of a node, each later than `newest` and in its schema version. `now`: milliseconds since 1970. */
export const clockAfter = (newest: Timestamp, now: number, node: string): (() => Timestamp) => {
  const version = newest.slice(0, TIME_START)
  let millis = Math.min(Math.max(Math.floor(now), millisOf(newest)), MAX_MILLIS)
  let counter = millis === millisOf(newest) ? Number.parseInt(newest.slice(TIME_END, COUNTER_END), RADIX) + 1 : 0
  return () => {
    if (counter > MAX_COUNTER) [millis, counter] = [millis + 1, 0]
    const time = millis.toString(RADIX).padStart(TIME_END - TIME_START, "0")
    const count = (counter++).toString(RADIX).padStart(COUNTER_END - TIME_END, "0")
    return `${version}${time}${count}${node}` as Timestamp
  }
}
