/**
 * For what every connection registers: `Effect.acquireRelease` and `Effect.addFinalizer` keep, for as long as the scope is
 * open, the effects that they were made of as well.
 */
import { Effect, Scope } from "effect"

/** Has `leave` called once the scope closes. */
export const onScopeClose = (leave: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => Scope.addFinalizerExit(scope, () => Effect.sync(leave)))
