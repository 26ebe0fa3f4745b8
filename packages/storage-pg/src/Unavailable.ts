/** Postgres' error codes (SQLSTATE, appendix A of its manual) as kinds of failure. */
import { type FailureKind, makeUnavailable } from "@sealog/server/storage"

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
  /** System errors outside Postgres: input and output. */
  "58": "resources"
}

export const unavailable = makeUnavailable((cause) =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? (KINDS[cause.code] ?? KINDS[cause.code.slice(0, 2)])
    : undefined
)
