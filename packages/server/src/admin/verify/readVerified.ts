/** Reading a stream of which nothing is taken that is not as it was written. */
import { Effect } from "effect"
import { emptyHead, type StreamHead } from "../../domain/Stream.ts"
import type { PlacedEvent, StreamSummary } from "../../ports/EventLog.ts"
import { makeJudgement, makePendingFindings } from "./PendingFindings.ts"
import { type Problem, StreamDamaged } from "./Problems.ts"
import { makeStreamCheck, type Report, type Rules } from "./StreamCheck.ts"
import { eachPage, type Until } from "./StreamPages.ts"

export interface VerifiedPageOptions {
  /** Where to begin: what comes before is not read. Default: at the first event. */
  readonly from?: StreamHead
  readonly until?: Until | undefined
  /** What is checked besides versions, chain values and the hashes of payloads. */
  readonly rules?: ((report: Report) => Rules) | undefined
  /** Told of payloads that are gone though none of these events took them: no other problem leaves the rest sound. */
  readonly onMissing: (problem: Problem) => void
}

/** Visits a stream's events page by page, fails before the page with the first problem, and says where the stream ends. */
export const eachVerifiedPage = Effect.fnUntraced(function* <E, R>(
  { key, version: reaches }: StreamSummary,
  { from = emptyHead, until, rules, onMissing }: VerifiedPageOptions,
  visit: (page: ReadonlyArray<PlacedEvent>) => Effect.Effect<void, E, R>
) {
  const findings = makePendingFindings()
  const { handOver, settleAll } = yield* makeJudgement<E | StreamDamaged, R>()
  const report = findings.reportOf(key)
  const fold = makeStreamCheck(key, report, { from, ...(rules && { rules: rules(report) }) })

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
          for (const placed of page) fold.check(placed)
          return handOver(findings.take(), (problems) => Effect.andThen(requireSound(problems), visit(page)))
        }),
      unreadable: (version, why) =>
        Effect.suspend(() => {
          fold.skip(version, why)
          return handOver(findings.take(), requireSound)
        })
    }
  )
  yield* settleAll()
  // Also what is gone because of an event after `until` is missing from what was read.
  if (end === "cut") fold.endBefore(0)
  else fold.end(end)
  yield* requireSound(findings.take())
  return fold.head()
})
