import { Effect } from "effect"
import { libraryAdministration } from "../domain/Administration.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { VERDANT } from "../domain/verdant/Events.ts"
import { EventLog } from "./EventLog.ts"

/** The number of a library's Secsync documents, also of evicted ones: all of its streams, except for its own two. */
export const countDocuments = Effect.fn("countDocuments")(function* (libraryId: LibraryId) {
  const log = yield* EventLog
  const own = yield* log.heads([libraryAdministration(libraryId), { libraryId, streamId: VERDANT }])
  return (yield* log.countStreams(libraryId)) - own.filter(({ version }) => version > 0).length
})
