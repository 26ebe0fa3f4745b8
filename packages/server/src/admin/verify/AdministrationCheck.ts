/** Checks an administration stream: every event is a decision of an operator that changed something. */
import { Result } from "effect"
import * as Administration from "../../domain/Administration.ts"
import type { StreamEvent } from "../../domain/Stream.ts"
import type { Report } from "./Report.ts"
import type { Rules } from "./StreamCheck.ts"

export const makeAdministrationCheck = (report: Report): Rules => {
  let state = Administration.initial
  let isStateKnown = true

  const take = (event: StreamEvent, _: Uint8Array | null, isAsWritten: boolean): boolean => {
    const decoded = Result.getOrUndefined(Result.try(() => Administration.fromStreamEvent(event)))
    if (decoded === undefined) {
      if (isAsWritten) report(event.version, "unreadable-event", `type ${event.type}`)
      isStateKnown = false
      return false
    }
    if (isAsWritten && event.payloadHash !== "") {
      report(event.version, "payload-mismatch", "the event names a payload, but events of its type have none")
    }
    if (isAsWritten && isStateKnown && Result.isFailure(Administration.decide(state, decoded))) {
      report(event.version, "rule-broken", "the event changed nothing: earlier events already said so")
    }
    state = Administration.evolve(state, decoded)
    return true
  }

  const forget = (): void => {
    isStateKnown = false
  }

  return { take, forget }
}
