import { Effect } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import type { Quota } from "../domain/Quota.ts"
import { VERDANT } from "../domain/verdant/Events.ts"
import { type LibraryUse, useOf } from "../domain/verdant/LibraryQuota.ts"
import type { LibraryState } from "../domain/verdant/State.ts"
import { countDocuments } from "../ports/countDocuments.ts"
import { EventLog } from "../ports/EventLog.ts"
import { readLibrary } from "../protocols/verdant/readLibrary.ts"

/** The use that a library makes of its quota: its Verdant data, the number of its documents, and the log as a whole. */
export const quotaUse = Effect.fn("quotaUse")(function* (libraryId: LibraryId) {
  const { value: state } = yield* readLibrary(yield* EventLog, { libraryId, streamId: VERDANT })
  return yield* quotaUseOf(libraryId, state)
})

/** The same of a library whose Verdant data was read. */
export const quotaUseOf = Effect.fnUntraced(function* (libraryId: LibraryId, state: LibraryState) {
  const documents = yield* countDocuments(libraryId)
  const inLog = yield* EventLog.use((log) => log.use(libraryId))
  return { ...useOf(state, inLog), documents } satisfies LibraryUse & Pick<Quota, "documents">
})
