/** Postgres' error codes (SQLSTATE, appendix A of its manual) as kinds of failure, and the failures that another try ends. */
import type { StorageUnavailable } from "@sealog/server/ports"
import { type FailedStatement, type FailureKind, makeUnavailable } from "@sealog/server/storage"
import { type Duration, Effect, Schedule } from "effect"

/** Codes, and classes of codes by their first two characters. The driver reports other codes by a reason of `SqlError`. */
const KINDS: Readonly<Record<string, FailureKind>> = {
  /** A trigger raised an exception: events are never changed or deleted. */
  P0001: "constraint",
  /** data_corrupted */
  XX001: "damage",
  /** index_corrupted */
  XX002: "damage",
  /** Data exceptions, for example a character that the database's encoding lacks. */
  "22": "value",
  /** Insufficient resources: a full disk, no memory, too many connections. */
  "53": "resources",
  /** A program limit is exceeded, for example the size of a value. */
  "54": "value",
  /** Operator intervention: the database shuts down or starts. */
  "57": "resources",
  /** undefined_file: a file of a table is gone. */
  "58P01": "damage",
  /** System errors outside Postgres: input and output. */
  "58": "resources"
}

const codeOf = (cause: unknown): string | undefined =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined

/** Why a statement failed; undefined: the error is another one. */
const reasonOf = (error: unknown): FailedStatement["reason"] | undefined =>
  typeof error === "object" && error !== null && "reason" in error ? (error as FailedStatement).reason : undefined

const kindOf = (cause: unknown): FailureKind | undefined => {
  const code = codeOf(cause)
  return code === undefined ? undefined : (KINDS[code] ?? KINDS[code.slice(0, 2)])
}

const mapFailure = makeUnavailable(kindOf)

/** Whether a statement failed because the database found that its own files are damaged. */
export const isDamage = (error: unknown): boolean => kindOf(reasonOf(error)?.cause) === "damage"

/** Whether the database refused the user or the password, or asks for one. */
export const isRefusedLogin = (error: unknown): boolean => reasonOf(error)?._tag === "AuthenticationError"

/** Failures that left nothing behind, and that pass when other statements end. */
const PASSES = [
  /** too_many_connections: the role, the database or the server allows fewer than this pool has. */
  "53300",
  /** serialization_failure: the database's default isolation is above `read committed`. */
  "40001",
  /** deadlock_detected */
  "40P01"
]

/** Whether a statement failed with one of these codes. */
export const failedWith = (error: unknown, ...codes: ReadonlyArray<string>): boolean => {
  const code = codeOf(reasonOf(error)?.cause)
  return code !== undefined && codes.includes(code)
}

/** The time between two tries of a statement: from 20 ms to half a second. */
const AGAIN = Schedule.jittered(Schedule.min([Schedule.exponential("20 millis", 1.5), Schedule.spaced("500 millis")]))

/** The tries go on for about ten seconds, if the operation's timeout does not end first. */
const TRIES = 30

/**
 * Reports failures of an operation as `StorageUnavailable` or as defects. The operation is one statement, or fails with
 * `StorageUnavailable` after its first one: it begins again if that statement fails in a way that passes.
 */
export const unavailable =
  (operation: string, timeout?: Duration.Input) =>
  <A, E extends FailedStatement | StorageUnavailable, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, StorageUnavailable, R> =>
    mapFailure(
      operation,
      timeout
    )(Effect.retry(effect, { schedule: AGAIN, times: TRIES, while: (error) => failedWith(error, ...PASSES) }))
