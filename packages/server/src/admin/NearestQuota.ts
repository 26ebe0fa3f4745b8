/** How far the libraries of a list are toward their quotas, by what the log tells without reading each of them. */
import { Cache, Duration, Effect, Exit } from "effect"
import { libraryAdministration } from "../domain/Administration.ts"
import type { Hash, LibraryId } from "../domain/Ids.ts"
import { defaultQuota, nearestPart, type PartUse, type Quota } from "../domain/Quota.ts"
import type { StreamHead } from "../domain/Stream.ts"
import { VERDANT } from "../domain/verdant/Events.ts"
import { EventLog, type LibrarySummary } from "../ports/EventLog.ts"
import { quotaOf } from "./LibraryQuota.ts"

export interface ListedLibrary extends LibrarySummary {
  /** null: it is not known, because the stream with the library's own quota is damaged, or the app's `quotaOf` failed. */
  readonly nearestQuota: PartUse | null
}

/** Quotas that are kept, for an operator's page that lists the same libraries every few seconds. */
const KEPT = 10_000
/** Libraries whose own quotas are read at a time. */
const READS = 4

/**
 * Returns a function that adds to each library of a page the part of its quota that it is nearest to. A page takes one query,
 * and one more for each library whose administration has grown since its quota was read. `byDefault`: the
 * quota of a library for which no operator set another. Default: `defaultQuota`.
 */
export const makeNearestQuotas = Effect.fn("makeNearestQuotas")(function* (
  byDefault: (libraryId: LibraryId) => Quota = () => defaultQuota
) {
  const log = yield* EventLog
  const quotas = yield* Cache.makeWith(
    ({ libraryId }: { readonly libraryId: LibraryId; readonly chain: Hash | "" }) => quotaOf(libraryId),
    {
      capacity: KEPT,
      timeToLive: (exit) => (Exit.isSuccess(exit) ? Duration.infinity : Duration.zero),
      requireServicesAt: "construction"
    }
  )
  const nearestOf = Effect.fnUntraced(
    function* (library: LibrarySummary, administration: StreamHead, verdant: StreamHead) {
      const { chain, version } = administration
      const { libraryId } = library
      const ofOperator = version === 0 ? {} : yield* Cache.get(quotas, { libraryId, chain })
      return nearestPart(useOf(library, administration, verdant), { ...byDefault(libraryId), ...ofOperator })
    },
    // One damaged stream must not keep an operator from all libraries.
    Effect.catchDefect(() => Effect.succeed(null))
  )
  return Effect.fn("nearestQuotas")(function* (page: ReadonlyArray<LibrarySummary>) {
    const heads = yield* log.heads(
      page.flatMap(({ libraryId }) => [libraryAdministration(libraryId), { libraryId, streamId: VERDANT }])
    )
    return yield* Effect.forEach(
      page,
      (library, i) =>
        Effect.map(
          nearestOf(library, heads[2 * i]!, heads[2 * i + 1]!),
          (nearestQuota): ListedLibrary => ({ ...library, nearestQuota })
        ),
      { concurrency: READS }
    )
  })
})

/** The parts whose use a list knows, as in `quotaUse`. */
const useOf = (
  { events, payloadBytes, streams }: LibrarySummary,
  administration: StreamHead,
  verdant: StreamHead
): Pick<Quota, "documents" | "events" | "payloadBytes"> => {
  const own = [administration, verdant].filter(({ version }) => version > 0).length
  // The summary and the heads are not read at one moment.
  return { documents: Math.max(0, streams - own), events, payloadBytes }
}
