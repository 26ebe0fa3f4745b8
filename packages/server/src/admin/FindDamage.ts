/** Finds all damage in a log: reads every stream, and compares each payload and each event with their hashes. */
import { Effect } from "effect"
import { eachStream } from "./Inspect.ts"
import { makeProblems } from "./verify/Problems.ts"
import { countEvents } from "./verify/Scope.ts"
import { makeStreamCheck } from "./verify/StreamCheck.ts"
import { eachPage } from "./verify/StreamPages.ts"

/**
 * Returns the problems of all streams, and the number of events. It judges no event by the rules and verifies no signature, as
 * `replay` does. Servers may keep writing to the log. `onProgress` is called after every page, with the events so far and those
 * that the log had at the start.
 */
export const findDamage = Effect.fn("findDamage")(function* (onProgress?: (events: number, total: number) => void) {
  const total = yield* countEvents({}, undefined)
  const problems = makeProblems()
  let events = 0
  yield* eachStream(
    { payloads: false },
    Effect.fnUntraced(function* ({ key, version }) {
      const check = makeStreamCheck(key, (version, problem, detail) =>
        problems.add({ ...key, version, problem, detail })
      )
      const end = yield* eachPage(
        key,
        { after: 0, reaches: version },
        {
          page: (page) =>
            Effect.sync(() => {
              for (const placed of page) check.next(placed)
              events += page.length
              onProgress?.(events, total)
            }),
          unreadable: (version, why) => Effect.sync(() => check.skip(version, why))
        }
      )
      if (end !== "cut") check.end(end)
    })
  )
  return { events, ...problems.found() }
})
