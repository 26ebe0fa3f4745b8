/**
 * Time limits that do not wait for a statement's end. A statement that is cancelled ends once Postgres has answered, or once the
 * driver has waited five seconds for that; the end of a transaction cannot be cancelled at all. If the network has swallowed it, it
 * ends with its connection. The caller fails before that.
 */
import { StorageUnavailable } from "@sealog/server/ports"
import type { FailedStatement } from "@sealog/server/storage"
import { type Context, Duration, Effect } from "effect"
import { unavailable } from "./Unavailable.ts"

/** Fails an effect after a time, and leaves it behind to be interrupted. Whether it took effect is not known. */
export const leftBehindAfter =
  (timeout: Duration.Input, failure: { readonly operation: string; readonly message: string }) =>
  <A, R>(effect: Effect.Effect<A, StorageUnavailable, R>): Effect.Effect<A, StorageUnavailable, R> =>
    Effect.contextWith((context: Context.Context<R>) =>
      Effect.callback<A, StorageUnavailable>((resume) => {
        // Begun at once, and by callbacks: a fork, a join and a timeout are three fibers and a turn of the event loop.
        const fiber = Effect.runForkWith(context)(effect)
        const { operation, message } = failure
        const timer = setTimeout(() => {
          resume(new StorageUnavailable({ operation, cause: new Error(message) }))
          fiber.interruptUnsafe()
        }, Duration.toMillis(timeout))
        fiber.addObserver((exit) => {
          clearTimeout(timer)
          resume(exit)
        })
        return Effect.sync(() => {
          clearTimeout(timer)
          fiber.interruptUnsafe()
        })
      })
    )

/**
 * The time limit of commits and heads, which are short. While a commit waits on a connection whose network is gone, no other one
 * begins.
 */
const SHORT_TIMEOUT = "6 seconds"

/** As `unavailable`, for a short statement of a live server. */
export const unavailableSoon =
  (operation: string) =>
  <A, E extends FailedStatement | StorageUnavailable, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, StorageUnavailable, R> =>
    effect.pipe(
      unavailable(operation),
      leftBehindAfter(SHORT_TIMEOUT, { operation, message: "the database does not answer" })
    )
