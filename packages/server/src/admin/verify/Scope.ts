/** Which part of the log is meant. */
import { Effect, Schema } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import { listLibraries } from "../../ports/listLibraries.ts"
import { eachStream } from "../Inspect.ts"
import type { Until } from "./StreamPages.ts"

/** The whole log, a library, or one document of it. */
export interface Scope {
  readonly libraryId?: LibraryId
  readonly documentId?: string
}

/** The log has nothing of that name. */
export class NoSuchStream extends Schema.TaggedError<NoSuchStream>()("NoSuchStream", {
  libraryId: Schema.String,
  streamId: Schema.UndefinedOr(Schema.String)
}) {}

export const filterOf = ({ libraryId, documentId }: Scope) => ({
  ...(libraryId && { libraryId }),
  ...(documentId && { streamId: documentId })
})

/** How many events there are to look at; more than there are when some of them were recorded too late. */
export const countEvents = Effect.fnUntraced(function* (scope: Scope, until: Until | undefined) {
  let total = 0
  if (scope.documentId === undefined) {
    for (const { libraryId, events } of yield* listLibraries()) {
      if (scope.libraryId === undefined || libraryId === scope.libraryId) total += events
    }
  } else {
    yield* eachStream(filterOf(scope), ({ version }) =>
      Effect.sync(() => {
        total += version
      })
    )
  }
  return until !== undefined && "version" in until ? Math.min(total, until.version) : total
})
