/**
 * Ends a layer even if its database never answers again. A network that swallows all bytes answers neither UNLISTEN nor a
 * statement, and nothing tells this process that it never will.
 */
import { Effect, Fiber, Layer, Scope } from "effect"

/** Far more than a database takes that answers at all. */
const PATIENCE = "5 seconds"

/** The same layer. Its end takes five seconds at most: connections that do not answer by then are left to the system. */
export const endInTime = <A, E, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Effect.addFinalizer((exit) =>
        Effect.gen(function* () {
          const ending = yield* Effect.forkDetach(Scope.close(scope, exit))
          yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(ending)), PATIENCE)
        })
      )
      return yield* Layer.buildWithScope(layer, scope)
    })
  )
