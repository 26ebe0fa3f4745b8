/**
 * One of a thing for each key, opened at its first use and closed a while after its last. What could not be opened is
 * forgotten at once: the next who asks tries again.
 */
import { type Duration, Effect, RcMap, type Scope } from "effect"

export interface KeyedResource<K, A, E> {
  /** The thing for a key; it stays open for as long as the scope, and a while after. */
  readonly get: (key: K) => Effect.Effect<A, E, Scope.Scope>
}

export const makeKeyedResource = Effect.fnUntraced(function* <K, A, E, R>(options: {
  readonly open: (key: K) => Effect.Effect<A, E, R>
  readonly idle: Duration.Input
}) {
  const lookup = (key: K) =>
    options.open(key).pipe(
      // Apart from this fiber, which belongs to the entry that goes.
      Effect.tapCause(() => Effect.forkDetach(RcMap.invalidate(map, key)))
    )
  const map: RcMap.RcMap<K, A, E> = yield* RcMap.make({ lookup, idleTimeToLive: options.idle })
  return { get: (key) => RcMap.get(map, key) } satisfies KeyedResource<K, A, E>
})
