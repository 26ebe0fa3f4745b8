/** Reads a stream page by page, and passes a page on only once every event of it is verified. */
import { Effect } from "effect"
import { emptyHead, type StreamHead, type StreamKey } from "../../domain/Stream.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"
import { makePendingFindings } from "./PendingFindings.ts"
import { type Problem, StreamDamaged } from "./Problems.ts"
import type { Report } from "./Report.ts"
import { makeSignatureQueue } from "./SignatureQueue.ts"
import { makeStreamCheck, type Rules } from "./StreamCheck.ts"
import { eachPage, type Until } from "./StreamPages.ts"

export interface VerifiedPageOptions {
  /** Start after this head; earlier events are not read. Default: start at the first event. */
  readonly from?: StreamHead
  readonly until?: Until | undefined
  /** Rules to check besides versions, chain values and payload hashes. */
  readonly rules?: ((report: Report) => Rules) | undefined
  /** Called for a payload that is missing, though no visited event purged it. Every other problem is a failure. */
  readonly onMissing: (problem: Problem) => void
}

/** Visits a stream's events, and returns the head that it reached. Fails before it visits the page with the first problem. */
export const eachVerifiedPage = Effect.fnUntraced(function* <E, R>(
  { key, version: reaches }: { readonly key: StreamKey; readonly version: number },
  { from = emptyHead, until, rules, onMissing }: VerifiedPageOptions,
  visit: (page: ReadonlyArray<PlacedEvent>) => Effect.Effect<void, E, R>
) {
  const findings = makePendingFindings()
  const signatures = yield* makeSignatureQueue<E | StreamDamaged, R>()
  const report = findings.reportOf(key)
  const check = makeStreamCheck(key, report, { from, ...(rules && { rules: rules(report) }) })

  const requireSound = Effect.fnUntraced(function* (problems: ReadonlyArray<Problem>) {
    for (const problem of problems) {
      if (problem.problem !== "payload-missing") return yield* new StreamDamaged(problem)
      onMissing(problem)
    }
  })

  const end = yield* eachPage(
    key,
    { after: from.version, reaches, until },
    {
      page: (page) =>
        Effect.suspend(() => {
          for (const placed of page) check.next(placed)
          return signatures.submit(findings.take(), (problems) => Effect.andThen(requireSound(problems), visit(page)))
        }),
      unreadable: (version, why) =>
        Effect.suspend(() => {
          check.skip(version, why)
          return signatures.submit(findings.take(), requireSound)
        })
    }
  )
  yield* signatures.drain()
  // A payload that an event after `until` purged is missing as well: the reader cannot have it.
  if (end === "cut") check.endBefore(0)
  else check.end(end)
  yield* requireSound(findings.take())
  return check.head()
})
