/** Asks the app's policy about a request, and again when its rights change while the request lasts. */
import { Deferred, Effect, FiberSet } from "effect"
import type { Action, Grant } from "../../ports/Access.ts"
import { AccessControl } from "../../rooms/AccessControl.ts"
import { Code, HttpRefusal } from "./HttpRefusal.ts"

/** Refuses with 4030 what the app's policy does not allow, and with 5030 when the policy gives no answer. */
export const requireAccess = Effect.fnUntraced(function* (grant: Grant, action: Action) {
  const { ask } = yield* AccessControl
  if (ask === undefined) return
  const isAllowed = yield* Effect.mapError(ask(grant, action), () => new HttpRefusal({ code: Code.unavailable }))
  if (!isAllowed) return yield* new HttpRefusal({ code: Code.forbidden })
})

/**
 * As `requireAccess`. The effect that it returns fails once a change of rights takes the access away; undefined: the app has no
 * policy.
 */
export const requireLastingAccess = Effect.fnUntraced(function* (grant: Grant, action: Action) {
  const { ask, watch } = yield* AccessControl
  if (ask === undefined) return undefined
  const end = yield* Deferred.make<never, HttpRefusal>()
  const run = yield* FiberSet.makeRuntime<AccessControl>()
  const askAgain = () => Effect.catch(requireAccess(grant, action), (refusal) => Deferred.fail(end, refusal))
  yield* watch({ grant, documentId: undefined, askAgain: () => Effect.sync(() => void run(askAgain())) }).pipe(
    Effect.mapError(() => new HttpRefusal({ code: Code.unavailable }))
  )
  yield* requireAccess(grant, action)
  return Deferred.await(end)
})
