/**
 * The number of documents of each library in which clients open new ones. The log is counted when the first of them opens, and
 * again when one opens after some seconds; this process's own documents are added in between. So the documents that others
 * make are noticed late: a library may exceed its quota by those that are being made at the same time.
 */
import { Clock, Effect, type Scope } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import { makeKeyedResource } from "../../internal/KeyedResource.ts"
import { countDocuments } from "../../ports/countDocuments.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"

export interface DocumentCount {
  readonly current: () => number
  /** A document was stored that was new. */
  readonly add: () => void
}

/** How long a count is taken for the log's, in milliseconds. Few of them keep hostile clients from making the log count. */
const FRESH_MILLIS = 5000
const IDLE = "30 seconds"

/** Returns a function that opens the count of a library, until the scope closes. */
export const makeDocumentCounts = Effect.gen(function* () {
  const [clock, log] = [yield* Clock.Clock, yield* EventLog]
  const countNow = (libraryId: LibraryId) => Effect.provideService(countDocuments(libraryId), EventLog, log)
  const counts = yield* makeKeyedResource({
    open: Effect.fnUntraced(function* (libraryId: LibraryId) {
      return { value: yield* countNow(libraryId), at: clock.currentTimeMillisUnsafe() }
    }),
    idle: IDLE
  })
  return Effect.fnUntraced(function* (libraryId: LibraryId) {
    const count = yield* counts.get(libraryId)
    const now = clock.currentTimeMillisUnsafe()
    if (now - count.at > FRESH_MILLIS) {
      // Set before the query, so that other callers do not ask as well.
      count.at = now
      count.value = yield* countNow(libraryId)
    }
    return {
      current: () => count.value,
      add: () => {
        count.value += 1
      }
    } satisfies DocumentCount
  }) satisfies (libraryId: LibraryId) => Effect.Effect<DocumentCount, StorageUnavailable, Scope.Scope>
})
