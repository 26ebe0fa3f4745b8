/**
 * A small finalizer, for registrations that every connection makes. `Effect.acquireRelease` and `Effect.addFinalizer` also
 * keep the effects that they were made of, for as long as the scope is open.
 */
import { Effect, Scope } from "effect"

/** Calls `leave` when the scope closes. */
export const onScopeClose = (leave: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => Scope.addFinalizerExit(scope, () => Effect.sync(leave)))
