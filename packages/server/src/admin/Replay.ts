/**
 * The log, folded again from its first event: every version, chain value, payload, signature, clock and parent proof
 * checked anew by the rules that accepted them.
 */
import { Effect } from "effect"
import { isAdministration } from "../domain/Administration.ts"
import type { SnapshotId } from "../domain/Ids.ts"
import type { StreamKey } from "../domain/Stream.ts"
import { isVerdant } from "../domain/verdant/Events.ts"
import { EventLog, type StreamSummary } from "../ports/EventLog.ts"
import { eachStream } from "./Inspect.ts"
import { makeAdministrationCheck } from "./verify/AdministrationCheck.ts"
import { makeJudgement, makePendingFindings } from "./verify/PendingFindings.ts"
import { makeProblems, type Problem, type Problems } from "./verify/Problems.ts"
import { countEvents, filterOf, type Scope } from "./verify/Scope.ts"
import { makeSecsyncCheck } from "./verify/SecsyncCheck.ts"
import { makeStreamCheck, type Report, type StreamCheck } from "./verify/StreamCheck.ts"
import { eachPage, purgedAfter, type Until } from "./verify/StreamPages.ts"
import { makeVerdantCheck } from "./verify/VerdantCheck.ts"

export type { Problem } from "./verify/Problems.ts"
export type { Until } from "./verify/StreamPages.ts"

export interface ReplayReport extends Problems {
  readonly streams: number
  readonly events: number
  /** Payloads that are still there; each had its hash, its content and its signature checked. */
  readonly payloads: number
}

export interface ReplayOptions extends Scope {
  /** Where every stream's fold ends: events after it are taken for not there. */
  readonly until?: Until
  /** Called after every page. The total is of the moment the replay began: a running server goes past it. */
  readonly onProgress?: (events: number, total: number) => void
}

/** So many are handed over together, also of several streams: a thread is to have something to do for them. */
const FINDINGS = 64

/** Checks all streams, or those of a library or of a document's name. Servers may go on writing meanwhile. */
export const replay = Effect.fn("replay")(function* (options: ReplayOptions = {}) {
  const total = yield* countEvents(options, options.until)
  const problems = makeProblems()
  const findings = makePendingFindings()
  const { handOver, settleAll } = yield* makeJudgement()
  let [streams, events, payloads] = [0, 0, 0]
  const addAll = (found: ReadonlyArray<Problem>) => Effect.sync(() => found.forEach(problems.add))

  const replayStream = Effect.fnUntraced(function* ({ key, version }: StreamSummary) {
    const report = findings.reportOf(key)
    const { rules, snapshotIds } = rulesOf(key, report)
    const fold = makeStreamCheck(key, report, { rules })
    const end = yield* eachPage(
      key,
      { after: 0, reaches: version, until: options.until },
      {
        page: (page) =>
          Effect.suspend(() => {
            for (const placed of page) {
              fold.check(placed)
              events += 1
              if (placed.payload !== null) payloads += 1
            }
            options.onProgress?.(events, total)
            return findings.count() < FINDINGS ? Effect.void : handOver(findings.take(), addAll)
          }),
        unreadable: (version, why) => Effect.sync(() => fold.skip(version, why))
      }
    )
    if (end !== "cut") {
      fold.end(end)
      if (fold.isIntact()) yield* checkIndexes(key, fold, snapshotIds, report)
    } else if (fold.lacksPayloads()) {
      // What is gone may have been taken by an event that comes after.
      fold.endBefore(yield* purgedAfter(key, fold.head()))
    }
    if (end !== "cut" || fold.head().version > 0) streams += 1
  })

  yield* eachStream(filterOf(options), replayStream)
  yield* handOver(findings.take(), addAll)
  yield* settleAll()
  return { streams, events, payloads, ...problems.found() } satisfies ReplayReport
})

/** What the events of a stream are held to, by its name. */
export const rulesOf = (key: StreamKey, report: Report) => {
  if (isAdministration(key)) return { rules: makeAdministrationCheck(report), snapshotIds: new Set<SnapshotId>() }
  if (isVerdant(key)) return { rules: makeVerdantCheck(report), snapshotIds: new Set<SnapshotId>() }
  const rules = makeSecsyncCheck(key, report)
  return { rules, snapshotIds: rules.snapshotIds }
}

/** What the storage keeps beside the events, to find them by: it must lead to what the events say. */
const checkIndexes = Effect.fnUntraced(function* (
  key: StreamKey,
  fold: StreamCheck,
  snapshotIds: ReadonlySet<SnapshotId>,
  report: Report
) {
  const log = yield* EventLog
  const [stored] = yield* log.streams({ ...key, limit: 1 })
  // A stream that somebody wrote to meanwhile may have a later one.
  if (stored?.version === fold.head().version && stored.checkpoint !== fold.checkpoint()) {
    report(fold.checkpoint(), "wrong-index", `what it is now is read from version ${stored.checkpoint}, not from here`)
  }
  const [first, ...later] = snapshotIds
  if (first === undefined) return
  const found = yield* log.readKeyed(key, first)
  // Later ones may have come meanwhile.
  const wrong = found === undefined ? first : later.find((snapshotId, i) => found[i]?.uniqueKey !== snapshotId)
  if (wrong !== undefined) report(fold.head().version, "wrong-index", `the snapshot ${wrong} is not found by its id`)
})
