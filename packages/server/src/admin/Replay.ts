/**
 * Verifies a log: replays every stream from its first event, and checks it by the rules that accepted it. The checks cover
 * versions, chain values, payloads, signatures, clocks and parent proofs.
 */
import { Effect } from "effect"
import { isAdministration } from "../domain/Administration.ts"
import type { SnapshotId } from "../domain/Ids.ts"
import { isLogEpoch } from "../domain/LogEpoch.ts"
import type { StreamKey } from "../domain/Stream.ts"
import { isVerdant } from "../domain/verdant/Events.ts"
import { isWebhook } from "../domain/webhooks/Events.ts"
import { EventLog, type StreamSummary } from "../ports/EventLog.ts"
import { eachStream } from "./Inspect.ts"
import { makeAdministrationCheck } from "./verify/AdministrationCheck.ts"
import { makeLogEpochCheck } from "./verify/LogEpochCheck.ts"
import { makePendingFindings } from "./verify/PendingFindings.ts"
import { makeProblems, type Problem, type Problems } from "./verify/Problems.ts"
import type { Report } from "./verify/Report.ts"
import { countEvents, filterOf, type Scope } from "./verify/Scope.ts"
import { makeSecsyncCheck } from "./verify/SecsyncCheck.ts"
import { makeSignatureQueue } from "./verify/SignatureQueue.ts"
import { makeStreamCheck, type StreamCheck } from "./verify/StreamCheck.ts"
import { eachPage, purgedAfter, type Until } from "./verify/StreamPages.ts"
import { makeVerdantCheck } from "./verify/VerdantCheck.ts"
import { makeWebhookCheck } from "./verify/WebhookCheck.ts"

export type { Problem } from "./verify/Problems.ts"
export type { Until } from "./verify/StreamPages.ts"

export interface ReplayReport extends Problems {
  readonly streams: number
  readonly events: number
  /** Payloads that the log still holds. The hash, the content and the signature of each were checked. */
  readonly payloads: number
}

export interface ReplayOptions extends Scope {
  /** Where the replay of every stream stops. Later events count as absent. */
  readonly until?: Until
  /** Called after every page. The total is counted when the replay starts, so a running server can exceed it. */
  readonly onProgress?: (events: number, total: number) => void
}

/** Findings per submission to the signature queue, across streams, so that a thread gets enough to do at once. */
const FINDINGS = 64

/** Checks all streams, one library's, or one document's, and reports every problem. Servers may keep writing to the log. */
export const replay = Effect.fn("replay")(function* (options: ReplayOptions = {}) {
  const total = yield* countEvents(options, options.until)
  const problems = makeProblems()
  const findings = makePendingFindings()
  const signatures = yield* makeSignatureQueue()
  let [streams, events, payloads] = [0, 0, 0]
  const addAll = (found: ReadonlyArray<Problem>) => Effect.sync(() => found.forEach(problems.add))

  const replayStream = Effect.fnUntraced(function* ({ key, version }: StreamSummary) {
    const report = findings.reportOf(key)
    const { rules, snapshotIds } = rulesOf(key, report)
    const check = makeStreamCheck(key, report, { rules })
    const end = yield* eachPage(
      key,
      { after: 0, reaches: version, until: options.until, leavePacked: rules.takePacked !== undefined },
      {
        page: (page) =>
          Effect.suspend(() => {
            for (const placed of page) {
              check.next(placed)
              events += 1
              if (placed.payload !== null || placed.packed !== undefined) payloads += 1
            }
            options.onProgress?.(events, total)
            return findings.count() < FINDINGS ? Effect.void : signatures.submit(findings.take(), addAll)
          }),
        unreadable: (version, why) => Effect.sync(() => check.skip(version, why))
      }
    )
    if (end !== "cut") {
      check.end(end)
      if (check.isIntact()) yield* checkIndexes(key, check, snapshotIds, report)
    } else if (check.lacksPayloads()) {
      // An event after `until` may have purged them.
      check.endBefore(yield* purgedAfter(key, check.head()))
    }
    if (end !== "cut" || check.head().version > 0) streams += 1
  })

  yield* eachStream(filterOf(options), replayStream)
  yield* signatures.submit(findings.take(), addAll)
  yield* signatures.drain()
  return { streams, events, payloads, ...problems.found() } satisfies ReplayReport
})

/** The rules for a stream's events, by the kind of the stream. */
export const rulesOf = (key: StreamKey, report: Report) => {
  if (isAdministration(key)) return { rules: makeAdministrationCheck(report), snapshotIds: new Set<SnapshotId>() }
  if (isLogEpoch(key)) return { rules: makeLogEpochCheck(report), snapshotIds: new Set<SnapshotId>() }
  if (isWebhook(key)) return { rules: makeWebhookCheck(report), snapshotIds: new Set<SnapshotId>() }
  if (isVerdant(key)) return { rules: makeVerdantCheck(report), snapshotIds: new Set<SnapshotId>() }
  const rules = makeSecsyncCheck(key, report)
  return { rules, snapshotIds: rules.snapshotIds }
}

/** Checks that the storage's indexes (the newest checkpoint, snapshots by id) agree with the events. */
const checkIndexes = Effect.fnUntraced(function* (
  key: StreamKey,
  check: StreamCheck,
  snapshotIds: ReadonlySet<SnapshotId>,
  report: Report
) {
  const log = yield* EventLog
  const [stored] = yield* log.streams({ ...key, limit: 1, payloads: false })
  // If a server wrote to the stream since, the storage may rightly name a later checkpoint.
  if (stored?.version === check.head().version && stored.checkpoint !== check.checkpoint()) {
    const detail = `the storage reads the stream's tail from version ${stored.checkpoint}, but its newest checkpoint is here`
    report(check.checkpoint(), "wrong-index", detail)
  }
  const [first, ...later] = snapshotIds
  if (first === undefined) return
  const found = yield* log.readKeyed(key, first)
  // The storage may name more: snapshots that were stored since.
  const wrong = found === undefined ? first : later.find((snapshotId, i) => found[i]?.uniqueKey !== snapshotId)
  if (wrong !== undefined)
    report(check.head().version, "wrong-index", `the storage does not find snapshot ${wrong} by its id`)
})
