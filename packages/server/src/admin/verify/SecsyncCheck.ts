/** Checks a Secsync document: decides every event again, on the state in which it was first decided. */
import { Result } from "effect"
import { isSameJson } from "../../domain/CanonicalJson.ts"
import type { DocumentId, Hash, SnapshotId } from "../../domain/Ids.ts"
import { noQuota } from "../../domain/Quota.ts"
import type { StreamEvent, StreamKey } from "../../domain/Stream.ts"
import * as Secsync from "../../domain/secsync/index.ts"
import type { PackedMessage } from "../../domain/secsync/PackedMessage.ts"
import type { Report } from "./Report.ts"
import { packedProblem, payloadProblem } from "./SealedPayload.ts"
import type { Rules } from "./StreamCheck.ts"

export interface SecsyncCheck extends Rules {
  /** The ids of all snapshots, oldest first. */
  readonly snapshotIds: ReadonlySet<SnapshotId>
}

export const makeSecsyncCheck = (key: StreamKey, report: Report): SecsyncCheck => {
  let state = Secsync.initial(key.streamId as DocumentId)
  /** False after an event that cannot be trusted, until the next checkpoint. */
  let isStateKnown = true
  /** The version of the newest checkpoint. Events before it are superseded. */
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
      report(
        event.version,
        "payload-mismatch",
        "the event names no payload, or one that events of its type do not have"
      )
      return
    }
    const found = payload === null ? undefined : payloadProblem(key, decoded, payload)
    if (found !== undefined) report(event.version, found.problem, found.detail, found.unless)
  }

  const takePacked = (event: StreamEvent, packed: PackedMessage): void => {
    const found = packedProblem(key, event, packed, decode)
    if (found !== undefined) report(event.version, found.problem, found.detail, found.unless)
  }

  const checkRules = (event: StreamEvent, decoded: Secsync.DocumentEvent): void => {
    if (decoded._tag === "Pruned") {
      if (decoded.before > checkpoint)
        report(event.version, "rule-broken", "the pruning deleted payloads that were not superseded")
      return
    }
    const decision = Secsync.decide(state, commandOf(key, event, decoded, snapshotIds), contextOf(decoded))
    if (Result.isFailure(decision)) report(event.version, "rule-broken", describe(decision.failure))
    else if (!isSameJson(decision.success, decoded) || Secsync.isCheckpoint(decoded) !== event.checkpoint) {
      report(event.version, "rule-broken", "the event is not the one that its message led to when it was written")
    }
  }

  const forget = (): void => {
    isStateKnown = false
  }

  return { take, takePacked, forget, snapshotIds }
}

const decode = (event: StreamEvent): Secsync.DocumentEvent | undefined =>
  Result.getOrUndefined(Result.try(() => Secsync.fromStreamEvent(event)))

/** The event says by itself that the log was restored before it: no other stream tells when that was. */
const contextOf = (decoded: Secsync.DocumentEvent): Secsync.DocumentContext => ({
  quota: noQuota,
  documents: 0,
  ...("parentLost" in decoded && { restoredAt: Number.POSITIVE_INFINITY })
})

/** The command that led to the event. */
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
        used: snapshotIds.has(decoded.snapshotId),
        // The log does not say what a client knew of a log that was restored.
        knowsMore: true,
        parentIsUnknown: decoded.parentLost === true && !snapshotIds.has(decoded.parentSnapshotId as SnapshotId)
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
    case "DocumentCreated":
      return { _tag: "CreateDocument" }
    case "Deleted":
      return { _tag: "DeleteDocument" }
    case "AllowedAgain":
      return { _tag: "AllowDocument" }
  }
}

const describe = (refusal: Secsync.DocumentRefusal): string => {
  switch (refusal._tag) {
    case "SnapshotProofInvalid":
      return "the parent proof is not the one that the parent snapshot gives"
    case "SnapshotOutdated":
      return "the parent is not the snapshot that was active then"
    case "SnapshotMissesUpdates":
      return "the parent's clocks are not those of the stored updates"
    case "SnapshotIdUsed":
      return "the snapshot's id was used before"
    case "UpdateOutdated":
      return "the update refers to a snapshot that was not active"
    case "ClockAhead":
    case "ClockTaken":
      return `the clock should be ${refusal.expected}`
    case "AlreadyStored":
      return "the same message was stored before"
    case "NoSnapshot":
      return "no snapshot was active"
    case "NothingToEvict":
      return "there was nothing to evict"
    case "DocumentDeleted":
      return "the document was deleted"
    case "DocumentExists":
      return "the document existed already"
    case "NothingToAllow":
      return "the document was not deleted"
    case "WrongDocument":
    case "DocumentMissing":
    case "QuotaReached":
    case "SnapshotDue":
      return refusal._tag
  }
}
