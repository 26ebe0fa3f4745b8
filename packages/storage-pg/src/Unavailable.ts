/** What goes wrong with a statement, as the log's users know it. */
import { StorageUnavailable } from "@sealog/server/ports"
import { type Duration, Effect } from "effect"
import type { SqlError } from "effect/sql"

/**
 * A statement that fails or takes longer than `timeout` is the storage's trouble, and may pass; except where the
 * database holds what cannot be there, which is a defect.
 */
export const unavailable =
  (operation: string, timeout?: Duration.Input) =>
  <A, E extends SqlError.SqlError | StorageUnavailable, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, StorageUnavailable, R> => {
    const mapped = Effect.catch(effect, (error: SqlError.SqlError | StorageUnavailable) => {
      if (error instanceof StorageUnavailable) return Effect.fail(error)
      return CORRUPTION.has(error.reason._tag)
        ? Effect.die(error)
        : Effect.fail(new StorageUnavailable({ operation, cause: rootOf(error) }))
    })
    if (timeout === undefined) return mapped
    return Effect.timeoutOrElse(mapped, {
      duration: timeout,
      orElse: () => Effect.fail(new StorageUnavailable({ operation, cause: new Error("the database does not answer") }))
    })
  }

const CORRUPTION: ReadonlySet<string> = new Set(["ConstraintError", "UniqueViolation"])

/** What a person can act on is at the bottom: "connection refused", not "failed to execute statement". */
export const rootOf = (error: unknown): unknown => {
  let root = error
  while (typeof root === "object" && root !== null && "cause" in root && root.cause !== undefined) root = root.cause
  return root
}
