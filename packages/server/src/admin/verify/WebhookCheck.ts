/** Checks a webhook's stream: the rules accept every event again, and each checkpoint holds what the events before it gave. */
import { HashMap, Option, Result } from "effect"
import type { StreamEvent } from "../../domain/Stream.ts"
import { decide, evolve, initial } from "../../domain/webhooks/Decide.ts"
import { contentOf, fromStreamEvent, type WebhookContent } from "../../domain/webhooks/Events.ts"
import type { Report } from "./Report.ts"
import type { Rules } from "./StreamCheck.ts"

export const makeWebhookCheck = (report: Report): Rules => {
  let state = initial
  let isStateKnown = true

  const take = (event: StreamEvent, payload: Uint8Array | null, isAsWritten: boolean): boolean => {
    const decoded = Result.getOrUndefined(Result.try(() => fromStreamEvent(event)))
    if (decoded === undefined) {
      if (isAsWritten) report(event.version, "unreadable-event", `type ${event.type}`)
      isStateKnown = false
      return false
    }
    const hasContent = decoded._tag === "WebhookAdded" || decoded._tag === "WebhookKept"
    if (isAsWritten && hasContent !== (event.payloadHash !== "")) {
      report(event.version, "payload-mismatch", "the event names a payload that its type does not have, or lacks one")
    }
    if (isAsWritten && isStateKnown) {
      const decision = decide(state, decoded, event.recordedAt)
      if (Result.isFailure(decision)) report(event.version, "rule-broken", `refused: ${decision.failure._tag}`)
    }
    const content = payload === null ? undefined : Result.getOrUndefined(Result.try(() => contentOf(payload)))
    if (isAsWritten && payload !== null && content === undefined) {
      report(event.version, "payload-mismatch", "the payload is not the content of a webhook")
    }
    if (isAsWritten && isStateKnown && decoded._tag === "WebhookKept" && content !== undefined && !keepsAll(content)) {
      report(event.version, "payload-mismatch", "the checkpoint does not hold what the events before it gave")
    }
    state = evolve(state, event, content === undefined ? null : payload)
    if (content !== undefined) isStateKnown = true
    return true
  }

  /** The positions that a purged payload held are not known here, so the checkpoint may hold more. */
  const keepsAll = ({ positions, stops }: WebhookContent): boolean => {
    const [kept, stopped] = [new Map(positions), new Map(stops)]
    return (
      Array.from(state.positions).every(([name, version]) => kept.get(name) === version) &&
      stopped.size === HashMap.size(state.stops) &&
      Array.from(stopped).every(([libraryId, { version }]) =>
        Option.exists(HashMap.get(state.stops, libraryId), (stop) => stop.version === version)
      )
    )
  }

  const forget = (): void => {
    isStateKnown = false
  }

  return { take, forget }
}
