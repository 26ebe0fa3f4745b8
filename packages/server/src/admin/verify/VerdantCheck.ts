/**
 * The rules of a Verdant library, which accepted every event of it once: decided again, on the state that was.
 *
 * A decision also depended on what the server's process knew beyond the log. As far as that cannot be reconstructed, the
 * event is given the benefit of the doubt. The check does not find
 * - a reset that was not necessary, or a replica that joined without one although it had missed something;
 * - operations that came too late, from a replica that did not know all that others wrote;
 * - a watermark or a compaction that did not wait for a replica because that had not been heard of for too long;
 * - progress that the server recorded and the replica did not report;
 * - a file that replaced another user's;
 * - a file that was deleted too early, if all files without references for longer were deleted with it.
 */
import { HashMap, Result } from "effect"
import { isSameJson } from "../../domain/CanonicalJson.ts"
import type { StreamEvent } from "../../domain/Stream.ts"
import { compactionProblem } from "../../domain/verdant/Compaction.ts"
import { fromStreamEvent, type LibraryEvent } from "../../domain/verdant/Events.ts"
import { evolve } from "../../domain/verdant/Evolve.ts"
import { initial, isEmpty, type LibraryState } from "../../domain/verdant/State.ts"
import { newestBatch } from "../../domain/verdant/UnfoldedBatches.ts"
import type { Report } from "./Report.ts"
import { differenceOf } from "./SameLibrary.ts"
import type { Rules } from "./StreamCheck.ts"
import {
  decideAgain,
  describeRefusal,
  fieldsAsIn,
  isSameCompaction,
  progressProblem,
  withoutProgress
} from "./VerdantDecision.ts"

export const makeVerdantCheck = (report: Report): Rules => {
  let state: LibraryState = initial
  /** False while a payload that the state depends on is missing or damaged. */
  let isStateKnown = true
  /** The library as it is read from the checkpoint in parts that is being written. */
  let opening: LibraryState | undefined

  const take = (event: StreamEvent, payload: Uint8Array | null, isAsWritten: boolean): boolean => {
    const decoded = Result.getOrUndefined(Result.try(() => fromStreamEvent(event)))
    if (decoded === undefined) {
      if (isAsWritten) report(event.version, "unreadable-event", `type ${event.type}`)
      isStateKnown = false
      return false
    }
    const needsPayload = WITH_PAYLOAD.has(decoded._tag)
    if (isAsWritten && needsPayload !== (event.payloadHash !== "")) {
      report(event.version, "payload-mismatch", "the event names no payload, or one that its kind does not have")
    }
    if (needsPayload && payload === null) {
      isStateKnown = false
      opening = undefined
      return true
    }
    const opened = isAsWritten ? openOn(event, decoded, payload) : undefined
    if (!isStateKnown && NEEDS_STATE.has(decoded._tag)) {
      if (opened !== undefined) [state, isStateKnown] = [opened, true]
      return true
    }
    const next = Result.getOrUndefined(Result.try(() => evolve(state, event, payload)))
    if (next === undefined) {
      if (isAsWritten) report(event.version, "payload-mismatch", "the payload is not what its event says")
      isStateKnown = false
      return true
    }
    if (isAsWritten) check(event, decoded, payload, next)
    if (opened !== undefined) {
      const difference = differenceOf(next, opened)
      if (difference !== undefined) report(event.version, "rule-broken", `the checkpoint differs in ${difference}`)
    }
    state = next
    // A checkpoint holds the whole library.
    if (event.checkpoint) isStateKnown = isAsWritten
    return true
  }

  const check = (event: StreamEvent, decoded: LibraryEvent, payload: Uint8Array | null, next: LibraryState): void => {
    const mismatch = countMismatch(decoded, next)
    if (mismatch !== undefined) return report(event.version, "payload-mismatch", mismatch)
    if (!isStateKnown) return
    const problem = ruleProblem(state, event, decoded, payload, next)
    if (problem !== undefined) report(event.version, "rule-broken", problem)
  }

  /** Reads on in the checkpoint that is being written. Returns the library that it gives once it has ended. */
  const openOn = (event: StreamEvent, decoded: LibraryEvent, payload: Uint8Array | null): LibraryState | undefined => {
    const before = decoded._tag === "CheckpointBegun" ? initial : opening
    if (before === undefined) return undefined
    const next = Result.getOrUndefined(Result.try(() => evolve(before, event, payload)))
    if (next === undefined) report(event.version, "payload-mismatch", "no library can be read from the checkpoint")
    opening = next?.opening === undefined ? undefined : next
    return decoded._tag === "CheckpointEnded" ? next : undefined
  }

  const forget = (): void => {
    isStateKnown = false
    opening = undefined
  }

  return { take, forget }
}

const WITH_PAYLOAD: ReadonlySet<LibraryEvent["_tag"]> = new Set([
  ...(["OperationsStored", "Folded", "OperationsMerged", "CheckpointPart"] as const)
])

/** Events that cannot be applied to an unknown library. */
const NEEDS_STATE: ReadonlySet<LibraryEvent["_tag"]> = new Set([
  ...(["OperationsMerged", "CheckpointBegun", "CheckpointPart", "CheckpointEnded"] as const)
])

/** How an event's counts differ from its payload; undefined: they do not. */
const countMismatch = (decoded: LibraryEvent, next: LibraryState): string | undefined => {
  if (decoded._tag !== "Folded" && decoded._tag !== "OperationsStored") return undefined
  const batch = newestBatch(next.batches)
  const isSame =
    decoded._tag === "Folded"
      ? decoded.operations === next.operations &&
        decoded.baselines === next.baselines &&
        HashMap.size(next.entities) >= next.baselines
      : decoded.operations === batch?.operations.length && decoded.baselines === batch.baselines.length
  return isSame ? undefined : "the payload holds another number of operations or baselines"
}

/** Why the rules would not have made the event; undefined: they would. */
const ruleProblem = (
  state: LibraryState,
  event: StreamEvent,
  decoded: LibraryEvent,
  payload: Uint8Array | null,
  next: LibraryState
): string | undefined => {
  if (decoded._tag === "Folded") {
    // As the first event it imports a library from another server, which decided what it holds.
    if (event.version === 1) return decoded.before === 0 ? undefined : "it supersedes what was not there"
    const problem = compactionProblem(state, next)
    if (problem !== undefined) return problem
  }
  if (decoded._tag === "OperationsStored" && decoded.initial !== isEmpty(state)) {
    return "whether the library held anything is not what the event says"
  }
  const progress = progressProblem(state, decoded)
  if (progress !== undefined || decoded._tag === "CursorsAdvanced") return progress
  const decision = decideAgain(state, event, decoded, payload, next)
  if (Result.isFailure(decision)) return describeRefusal(decision.failure)
  const again = decision.success
  if (again.event.type !== event.type || again.event.checkpoint !== event.checkpoint) {
    return `the rules make a ${again.event.type} of it`
  }
  if (!isSameJson(withoutProgress(fieldsAsIn(again.event.data, event)), withoutProgress(event.data))) {
    return "the event does not say what was true when it was written"
  }
  if (decoded._tag === "OperationsMerged" && again.event.payloadHash !== event.payloadHash) {
    return "it merges operations that it must not, or twice"
  }
  if (decoded._tag === "Folded" && again.event.payloadHash !== event.payloadHash) {
    if (!isSameCompaction(again.payload, payload)) return "the payload is not what compaction makes of the library"
  }
  return undefined
}
