/**
 * One rule for every storage: is a failed statement an outage or a defect?
 *
 * An outage may pass while the code and the data stay as they are, so the caller gets `StorageUnavailable` and may try again.
 * A defect is a fault of this project's code or damaged data; another try would fail as well, so the fiber dies. Of damaged data
 * it dies with `LogDamaged`.
 */
import { type Duration, Effect } from "effect"
import { errorText } from "../domain/errorText.ts"
import { LogDamaged, StorageUnavailable } from "../ports/EventLog.ts"

/** The rule. A failure of a kind that is not known counts as an outage. */
const RULE = {
  /** Wrong SQL, or a table or column that does not exist. */
  statement: "defect",
  /** A constraint or trigger that the storage must never run into. */
  constraint: "defect",
  /** A value that the database cannot store. */
  value: "defect",
  /** The database found that its own files are damaged. */
  damage: "defect",
  /** No connection to the database, or no permission to connect or to do this. */
  access: "outage",
  /** A lock that another transaction holds, a deadlock or a serialization failure. */
  lock: "outage",
  timeout: "outage",
  /** A full disk, no memory, too many connections, or the database shuts down. */
  resources: "outage"
} as const satisfies Record<string, "outage" | "defect">

export type FailureKind = keyof typeof RULE

/** The reasons of Effect's `SqlError`; every driver reports them. */
const KINDS: Readonly<Record<string, FailureKind>> = {
  SqlSyntaxError: "statement",
  ConstraintError: "constraint",
  UniqueViolation: "constraint",
  ConnectionError: "access",
  AuthenticationError: "access",
  AuthorizationError: "access",
  DeadlockError: "lock",
  SerializationError: "lock",
  LockTimeoutError: "lock",
  StatementTimeoutError: "timeout"
}

/** The part of Effect's `SqlError` that the rule needs; the server itself knows no database. */
export interface FailedStatement {
  readonly reason: { readonly _tag: string; readonly cause: unknown }
}

/**
 * Makes a storage's `unavailable(operation, timeout)`, which applies the rule to the statements of one operation. A statement
 * that takes longer than `timeout` is cancelled and counts as an outage.
 *
 * `kindOf` reads the database's own error code, for errors to which the driver gives no reason.
 */
export const makeUnavailable =
  (kindOf: (cause: unknown) => FailureKind | undefined) =>
  (operation: string, timeout?: Duration.Input) =>
  <A, E extends FailedStatement | StorageUnavailable, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, StorageUnavailable, R> => {
    const mapped = Effect.catch(effect, (error: FailedStatement | StorageUnavailable) => {
      if (error instanceof StorageUnavailable) return Effect.fail(error)
      const kind = KINDS[error.reason._tag] ?? kindOf(error.reason.cause)
      if (kind === "damage") return Effect.die(damagedBy(operation, rootCauseOf(error)))
      return kind !== undefined && RULE[kind] === "defect"
        ? Effect.die(error)
        : Effect.fail(new StorageUnavailable({ operation, cause: rootCauseOf(error) }))
    })
    if (timeout === undefined) return mapped
    return Effect.timeoutOrElse(mapped, {
      duration: timeout,
      orElse: () => Effect.fail(new StorageUnavailable({ operation, cause: new Error("the database does not answer") }))
    })
  }

const damagedBy = (operation: string, cause: unknown): LogDamaged =>
  new LogDamaged({ detail: `the database failed to ${operation}: ${errorText(cause)}`, cause })

/**
 * Reports every failure as `StorageUnavailable`. For opening, migrating and inspecting a database: there an operator reads the
 * error, whatever its kind.
 */
export const asUnavailable =
  (operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, StorageUnavailable, R> =>
    Effect.mapError(effect, (error) =>
      error instanceof StorageUnavailable ? error : new StorageUnavailable({ operation, cause: rootCauseOf(error) })
    )

/** Returns the innermost cause, which an operator can act on: "connection refused", not "failed to execute statement". */
export const rootCauseOf = (error: unknown): unknown => {
  let root = error
  while (typeof root === "object" && root !== null && "cause" in root && root.cause !== undefined) root = root.cause
  return root
}
