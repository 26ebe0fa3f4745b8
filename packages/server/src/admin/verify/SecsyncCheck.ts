/** The rules of a Secsync document, which every event of it once passed: decided again, on the state that was. */
import { Result } from "effect"
import { isSameJson } from "../../domain/CanonicalJson.ts"
import type { DocumentId, Hash, SnapshotId } from "../../domain/Ids.ts"
import type { StreamEvent, StreamKey } from "../../domain/Stream.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import { contentProblem } from "./SealedPayload.ts"
import type { Report, Rules } from "./StreamCheck.ts"

export interface SecsyncCheck extends Rules {
  /** Every snapshot's id, in order. */
  readonly snapshotIds: ReadonlySet<SnapshotId>
}

export const makeSecsyncCheck = (key: StreamKey, report: Report): SecsyncCheck => {
  let state = Secsync.initial(key.streamId as DocumentId)
  /** False while something that the state depends on is known to be wrong. */
  let isStateKnown = true
  /** Where what the document is begins; what comes before was superseded. */
  let checkpoint = 0
  const snapshotIds = new Set<SnapshotId>()

  const take = (event: StreamEvent, payload: Uint8Array | null, isAsWritten: boolean): boolean => {
    const decoded = decode(event)
    if (decoded === undefined) {
      if (isAsWritten) report(event.version, "unreadable-event", `type ${event.type}`)
      isStateKnown = false
      return false
    }
    if (isAsWritten) {
      checkPayload(event, decoded, payload)
      if (isStateKnown) checkRules(event, decoded)
    }
    state = Secsync.evolve(state, decoded, event.payloadHash)
    if (decoded._tag === "SnapshotStored") snapshotIds.add(decoded.snapshotId)
    if (event.checkpoint) {
      checkpoint = event.version
      if (isAsWritten) isStateKnown = true
    }
    return true
  }

  const checkPayload = (event: StreamEvent, decoded: Secsync.DocumentEvent, payload: Uint8Array | null): void => {
    const hasPayload = decoded._tag === "SnapshotStored" || decoded._tag === "UpdateStored"
    if ((event.payloadHash !== "") !== hasPayload) {
      report(event.version, "payload-mismatch", "the event names no payload, or one that its kind does not have")
      return
    }
    const found = payload === null ? undefined : contentProblem(key, decoded, payload)
    if (found !== undefined) report(event.version, found.problem, found.detail, found.unless)
  }

  const checkRules = (event: StreamEvent, decoded: Secsync.DocumentEvent): void => {
    if (decoded._tag === "Pruned") {
      if (decoded.before > checkpoint) report(event.version, "rule-broken", "what it deletes was not superseded")
      return
    }
    const decision = Secsync.decide(state, commandOf(key, event, decoded, snapshotIds))
    if (Result.isFailure(decision)) report(event.version, "rule-broken", describe(decision.failure))
    else if (!isSameJson(decision.success, decoded) || Secsync.isCheckpoint(decoded) !== event.checkpoint) {
      report(event.version, "rule-broken", "the event does not say what was true when it was written")
    }
  }

  const forget = (): void => {
    isStateKnown = false
  }

  return { take, forget, snapshotIds }
}

const decode = (event: StreamEvent): Secsync.DocumentEvent | undefined =>
  Result.getOrUndefined(Result.try(() => Secsync.fromStreamEvent(event)))

/** The command that the event must have come from. */
const commandOf = (
  key: StreamKey,
  event: StreamEvent,
  decoded: Exclude<Secsync.DocumentEvent, Secsync.Pruned>,
  snapshotIds: ReadonlySet<SnapshotId>
): Secsync.DocumentCommand => {
  const payloadHash = event.payloadHash as Hash
  switch (decoded._tag) {
    case "SnapshotStored":
      return {
        ...decoded,
        _tag: "StoreSnapshot",
        documentId: key.streamId,
        parentSnapshotUpdateClocks: new Map(Object.entries(decoded.parentSnapshotUpdateClocks)) as never,
        payloadHash,
        used: snapshotIds.has(decoded.snapshotId)
      }
    case "UpdateStored":
      return {
        ...decoded,
        _tag: "StoreUpdate",
        documentId: key.streamId,
        payloadHash,
        snapshotDueAfter: Number.POSITIVE_INFINITY
      }
    case "Evicted":
      return { _tag: "Evict" }
  }
}

const describe = (refusal: Secsync.DocumentRefusal): string => {
  switch (refusal._tag) {
    case "SnapshotProofInvalid":
      return "the parent proof is not the one that the parent yields"
    case "SnapshotOutdated":
      return "the parent is not the snapshot that was active"
    case "SnapshotMissesUpdates":
      return "the parent's clocks are not the ones that were stored"
    case "SnapshotIdUsed":
      return "the snapshot's id was used before"
    case "UpdateOutdated":
      return "the update is of a snapshot that was not active"
    case "ClockAhead":
    case "ClockTaken":
      return `the clock should be ${refusal.expected}`
    case "AlreadyStored":
      return "the same message was stored before"
    case "NoSnapshot":
      return "no snapshot was active"
    case "NothingToEvict":
      return "there was nothing to evict"
    case "WrongDocument":
    case "SnapshotDue":
      return refusal._tag
  }
}
