/** The rules of a Verdant library: that its events fold, that nothing comes back out of order, and that folds are right. */
import { HashMap, Result } from "effect"
import type { StreamEvent } from "../../domain/Stream.ts"
import { foldProblem } from "../../domain/verdant/Compaction.ts"
import { fromStreamEvent, type LibraryEvent } from "../../domain/verdant/Events.ts"
import { evolve } from "../../domain/verdant/Evolve.ts"
import { initial, isEmpty, type LibraryState } from "../../domain/verdant/State.ts"
import type { Report, Rules } from "./StreamCheck.ts"

export const makeVerdantCheck = (report: Report): Rules => {
  let state: LibraryState = initial
  /** False while a payload that the state depends on is gone or not what it was. */
  let isStateKnown = true

  const take = (event: StreamEvent, payload: Uint8Array | null, isAsWritten: boolean): boolean => {
    const decoded = Result.getOrUndefined(Result.try(() => fromStreamEvent(event)))
    if (decoded === undefined) {
      if (isAsWritten) report(event.version, "unreadable-event", `type ${event.type}`)
      isStateKnown = false
      return false
    }
    const needsPayload = decoded._tag === "OperationsStored" || decoded._tag === "Folded"
    if (isAsWritten && needsPayload !== (event.payloadHash !== "")) {
      report(event.version, "payload-mismatch", "the event names no payload, or one that its kind does not have")
    }
    if (needsPayload && payload === null) {
      isStateKnown = false
      return true
    }
    const next = Result.getOrUndefined(Result.try(() => evolve(state, event, payload)))
    if (next === undefined) {
      if (isAsWritten) report(event.version, "payload-mismatch", "the payload is not what its event says")
      isStateKnown = false
      return true
    }
    if (isAsWritten) check(event, decoded, next)
    state = next
    // A checkpoint says all that there is.
    if (event.checkpoint) isStateKnown = isAsWritten
    return true
  }

  const check = (event: StreamEvent, decoded: LibraryEvent, next: LibraryState): void => {
    const broken = (detail: string) => report(event.version, "rule-broken", detail)
    if (decoded._tag === "Folded") {
      const [operations, baselines] = [next.operations, HashMap.size(next.entities)]
      if (decoded.operations !== operations || decoded.baselines !== next.baselines || baselines < next.baselines) {
        report(event.version, "payload-mismatch", "the payload holds another number of operations or baselines")
      }
      if (!isStateKnown) return
      if (decoded.before !== state.checkpoint) broken("it takes more or less than what the last checkpoint superseded")
      // The first event of all brings the library from another server.
      const problem = event.version === 1 ? undefined : foldProblem(state, next)
      if (problem !== undefined) broken(problem)
    }
    if (!isStateKnown) return
    if (next.watermark !== null && state.watermark !== null && next.watermark < state.watermark) {
      broken("the watermark fell")
    }
    if (decoded._tag !== "OperationsStored") return
    const batch = next.batches?.newest
    if (batch?.operations.length !== decoded.operations || batch.baselines.length !== decoded.baselines) {
      report(event.version, "payload-mismatch", "the payload holds another number of operations or baselines")
    }
    if (decoded.initial !== isEmpty(state)) broken("whether the library held anything is not what the event says")
    const owner = state.replicas.get(decoded.replicaId)?.userId
    if (owner !== undefined && owner !== decoded.userId) broken("the replica is another user's")
  }

  const forget = (): void => {
    isStateKnown = false
  }

  return { take, forget }
}
