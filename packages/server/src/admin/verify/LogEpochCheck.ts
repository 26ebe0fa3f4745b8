/** Checks the stream that holds a log's identity: it is named once, and each restore has a mark of its own. */
import { Result } from "effect"
import * as LogEpoch from "../../domain/LogEpoch.ts"
import type { StreamEvent } from "../../domain/Stream.ts"
import type { Report } from "./Report.ts"
import type { Rules } from "./StreamCheck.ts"

export const makeLogEpochCheck = (report: Report): Rules => {
  const marks = new Set<string>()
  let isNamed = false

  const take = (event: StreamEvent, _: Uint8Array | null, isAsWritten: boolean): boolean => {
    const decoded = Result.getOrUndefined(Result.try(() => LogEpoch.fromStreamEvent(event)))
    if (decoded === undefined) {
      if (isAsWritten) report(event.version, "unreadable-event", `type ${event.type}`)
      return false
    }
    if (isAsWritten && event.payloadHash !== "") {
      report(event.version, "payload-mismatch", "the event names a payload, but events of its type have none")
    }
    const isRepeated = decoded._tag === "LogNamed" ? isNamed : decoded._tag === "LogRestored" && marks.has(decoded.mark)
    if (isAsWritten && isRepeated) {
      report(event.version, "rule-broken", "the log has this name, or this mark of a restore, already")
    }
    if (decoded._tag === "LogNamed") isNamed = true
    else if (decoded._tag === "LogRestored") marks.add(decoded.mark)
    return true
  }

  return { take, forget: () => {} }
}
