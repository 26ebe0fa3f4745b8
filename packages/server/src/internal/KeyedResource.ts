/**
 * One shared resource for each key, opened at its first use and closed a while after its last. A resource that failed to
 * open is forgotten at once, so that the next caller tries again.
 */
import { type Duration, Effect, RcMap, type Scope } from "effect"

export interface KeyedResource<K, A, E> {
  /** Returns the resource of a key. It stays open until the scope closes, and `idle` longer. */
  readonly get: (key: K) => Effect.Effect<A, E, Scope.Scope>
  /** Forgets the resource of a key: the next caller opens it again. The old one closes after its last user. */
  readonly invalidate: (key: K) => Effect.Effect<void>
}

export const makeKeyedResource = Effect.fnUntraced(function* <K, A, E, R>(options: {
  readonly open: (key: K) => Effect.Effect<A, E, R>
  readonly idle: Duration.Input
}) {
  const lookup = (key: K) =>
    options.open(key).pipe(
      // In another fiber: this one belongs to the entry that is removed, and would be interrupted with it.
      Effect.tapCause(() => Effect.forkDetach(RcMap.invalidate(map, key)))
    )
  const map: RcMap.RcMap<K, A, E> = yield* RcMap.make({ lookup, idleTimeToLive: options.idle })
  return {
    get: (key) => RcMap.get(map, key),
    invalidate: (key) => RcMap.invalidate(map, key)
  } satisfies KeyedResource<K, A, E>
})
