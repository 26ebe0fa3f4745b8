/** The part of a log that a command works on. */
import { Effect, Schema } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import { eachStream } from "../Inspect.ts"
import type { Until } from "./StreamPages.ts"

/** The whole log, one library, or one document of a library. */
export interface Scope {
  readonly libraryId?: LibraryId
  readonly documentId?: string
}

/** The log has no such library or stream. */
export class NoSuchStream extends Schema.TaggedError<NoSuchStream>()("NoSuchStream", {
  libraryId: Schema.String,
  streamId: Schema.UndefinedOr(Schema.String)
}) {}

/** The scope as a filter of streams. Their payloads are not counted, which takes as long as a part of reading them. */
export const filterOf = ({ libraryId, documentId }: Scope) => ({
  payloads: false,
  ...(libraryId && { libraryId }),
  ...(documentId && { streamId: documentId })
})

/** Counts the events in the scope, for progress. With `until` as a time it counts too many. */
export const countEvents = Effect.fnUntraced(function* (scope: Scope, until: Until | undefined) {
  let total = 0
  yield* eachStream(filterOf(scope), ({ version }) =>
    Effect.sync(() => {
      total += version
    })
  )
  return until !== undefined && "version" in until ? Math.min(total, until.version) : total
})
