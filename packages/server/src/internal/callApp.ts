/** Calls the app's code, which may be slow, fail or throw, and may hold its effect uninterruptible. */
import { Cause, Duration, Effect, Fiber } from "effect"

/** Dies if the call takes longer than `timeout`, and does not wait until it is interrupted. */
export const callApp = <A, E>(timeout: Duration.Duration, call: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkDetach(Effect.suspend(call), { startImmediately: true })
    const late = Cause.die(new Error(`no answer within ${Duration.format(timeout)}`))
    return yield* Fiber.join(fiber).pipe(
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.failCause(late) }),
      Effect.ensuring(Effect.sync(() => fiber.interruptUnsafe()))
    )
  })
