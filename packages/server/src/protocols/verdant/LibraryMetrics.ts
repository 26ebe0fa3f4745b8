/** Shows how much the open libraries hold, and how many are near their quotas. Each scrape looks at all of them. */
import { Effect, HashMap, type Scope } from "effect"
import { type LogUse, NEAR_QUOTA, type Quota } from "../../domain/Quota.ts"
import { useOf } from "../../domain/verdant/LibraryQuota.ts"
import type { LibraryState } from "../../domain/verdant/State.ts"
import * as Metrics from "../../metrics/Metrics.ts"

/** A library that is open. */
interface OpenLibrary {
  readonly state: () => LibraryState
  readonly local: { readonly logUse: { readonly known: () => LogUse }; readonly quota: () => Quota }
}

/** Shows the libraries until the scope closes. */
export const showLibraries = (all: () => Iterable<OpenLibrary>): Effect.Effect<void, never, Scope.Scope> => {
  const sum = (of: (library: OpenLibrary) => number) => () => {
    let total = 0
    for (const library of all()) total += of(library)
    return total
  }
  const isNear =
    (part: (typeof Metrics.QUOTA_PARTS)[number]) =>
    ({ local, state }: OpenLibrary): number => {
      const use = useOf(state(), local.logUse.known())[part]
      return use > 0 && use >= local.quota()[part] * NEAR_QUOTA ? 1 : 0
    }
  return Effect.gen(function* () {
    yield* Metrics.openLibraryObjects.at({}).read(sum(({ state }) => HashMap.size(state().entities)))
    yield* Metrics.openLibraryBytes.at({}).read(sum(({ state }) => state().bytes))
    for (const part of Metrics.QUOTA_PARTS) yield* Metrics.librariesNearQuota.at({ part }).read(sum(isNear(part)))
  })
}
