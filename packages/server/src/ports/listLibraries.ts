import { Effect } from "effect"
import { EventLog, type LibrarySummary } from "./EventLog.ts"

const PAGE = 500

/** Lists every library of the log, in the order of their ids. */
export const listLibraries = Effect.fn("listLibraries")(function* () {
  const log = yield* EventLog
  const libraries: Array<LibrarySummary> = []
  while (true) {
    const after = libraries.at(-1)?.libraryId
    const page = yield* log.libraries({ limit: PAGE, ...(after && { after }) })
    libraries.push(...page)
    if (page.length < PAGE) return libraries
  }
})
