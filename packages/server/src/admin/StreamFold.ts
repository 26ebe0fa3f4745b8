/** One stream folded again, each event held to the rules that accepted it. One cause gives one report. */
import { Result } from "effect"
import { blake2b256 } from "../domain/Blake2b.ts"
import { canonicalJson } from "../domain/CanonicalJson.ts"
import type { DocumentId, Hash, SnapshotId } from "../domain/Ids.ts"
import * as Secsync from "../domain/Secsync.ts"
import { advance, chainOf, emptyHead, type StreamEvent, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import type { PlacedEvent } from "../EventLog.ts"
import { contentProblem } from "./PayloadContent.ts"

export type ProblemKind =
  /** Versions that are not there. */
  | "missing-event"
  /** An event, or its chain value, is not what it was when it was written. */
  | "chain-broken"
  /** An event of another generation than the evictions before it make. */
  | "wrong-generation"
  /** An event that is none of ours, or that the storage cannot read. */
  | "unreadable-event"
  /** A payload is not what it was when it was written. */
  | "payload-changed"
  /** A payload is gone that no eviction took. */
  | "payload-missing"
  /** What an event says is not what its payload says. */
  | "payload-mismatch"
  | "signature-invalid"
  /** The rules refuse the event: its clock, its parent, its parent proof … */
  | "rule-broken"
  /** The stream is said to end elsewhere than its events do. */
  | "wrong-head"
  /** The storage finds other events by their kind or name than there are. */
  | "wrong-index"

type Report = (version: number, problem: ProblemKind, detail: string) => void

/**
 * Takes a stream's events in order, then `end`. After a problem it goes on from what is stored, and what cannot be
 * judged because of it is left unjudged, up to the next event from which a fold can start.
 */
export const makeStreamFold = (key: StreamKey, report: Report) => {
  let head: StreamHead = emptyHead
  /** What the next event may be chained to: two values when one of them was changed; none known after a gap. */
  let chains: ReadonlyArray<Hash | ""> | undefined = [""]
  /** False after an event that may or may not have been an eviction. */
  let isGenerationKnown = true
  let state = Secsync.initial(key.streamId as DocumentId)
  /** False while something that the state depends on is known to be wrong. */
  let isStateKnown = true
  /** Whether every event is there and is what it was. */
  let isIntact = true
  let checkpoint = 0
  const snapshotIds = new Set<SnapshotId>()
  /** Versions of this generation without their payload: right only if an eviction follows. */
  let withoutPayload: Array<number> = []

  /** The event of this version cannot be known. */
  const lose = (version: number, problem: ProblemKind, detail: string): void => {
    report(version, problem, detail)
    isIntact = false
    isStateKnown = false
    isGenerationKnown = false
    chains = undefined
  }

  const skip = (version: number, detail: string): void => {
    lose(version, "unreadable-event", detail)
    head = { ...head, version }
  }

  const check = ({ event, payload }: PlacedEvent): void => {
    const isAsWritten = checkPlace(event)
    const decoded = decode(event)
    if (isAsWritten && decoded === undefined) report(event.version, "unreadable-event", `type ${event.type}`)
    if (isAsWritten && decoded !== undefined) {
      const isPayloadAsWritten = checkPayload(event, decoded, payload)
      const found = isPayloadAsWritten && payload !== null ? contentProblem(key, decoded, payload) : undefined
      if (found !== undefined) report(event.version, found.problem, found.detail)
      if (isStateKnown && decoded._tag !== "Pruned") checkRules(event, decoded)
    }
    if (payload === null && event.payloadHash !== "") withoutPayload.push(event.version)
    const { generation } = head
    head = advance(head, event)
    if (head.generation !== generation) withoutPayload = []
    if (decoded === undefined) {
      isIntact = false
      isStateKnown = false
      return
    }
    state = Secsync.evolve(state, decoded, event.payloadHash)
    if (decoded._tag === "SnapshotStored") snapshotIds.add(decoded.snapshotId)
    if (event.checkpoint) {
      checkpoint = event.version
      if (isAsWritten) isStateKnown = true
    }
  }

  /** Version, chain and generation. */
  const checkPlace = (event: StreamEvent): boolean => {
    const { version } = event
    if (version !== head.version + 1) {
      const last = version - 1
      const missing = last === head.version + 1 ? `version ${last}` : `versions ${head.version + 1} to ${last}`
      lose(head.version + 1, "missing-event", `${missing} missing before version ${version}`)
      head = { ...head, version: last }
    }
    if (chains !== undefined && !chains.some((chain) => chainAfter(chain, event) === event.chain)) {
      report(version, "chain-broken", "the event or its chain value was changed after it was written")
      // Should only the chain value have been changed, the next event is chained to the one it was.
      chains = [event.chain, ...chains.flatMap((chain) => chainAfter(chain, event) ?? [])]
      isIntact = false
      isStateKnown = false
      isGenerationKnown = false
      return false
    }
    chains = [event.chain]
    if (event.generation !== head.generation) {
      if (isGenerationKnown) {
        report(version, "wrong-generation", `generation ${event.generation}, evictions before it: ${head.generation}`)
        isStateKnown = false
      } else withoutPayload = []
      head = { ...head, generation: event.generation }
    }
    isGenerationKnown = true
    return true
  }

  const chainAfter = (previous: Hash | "", event: StreamEvent): Hash | undefined =>
    // What was changed may not be canonical JSON any more.
    Result.getOrUndefined(Result.try(() => chainOf(key, previous, event)))

  const checkPayload = (event: StreamEvent, decoded: Secsync.DocumentEvent, payload: Uint8Array | null): boolean => {
    if ((event.payloadHash === "") !== (decoded._tag === "Evicted")) {
      report(event.version, "payload-mismatch", "the event names no payload, or one that its kind does not have")
      return false
    }
    if (payload === null || blake2b256(payload) === event.payloadHash) return true
    report(event.version, "payload-changed", "the sealed bytes do not have the hash that the event names")
    return false
  }

  const checkRules = (event: StreamEvent, decoded: Decided): void => {
    const decision = Secsync.decide(state, commandOf(key, event, decoded, snapshotIds))
    if (Result.isFailure(decision)) report(event.version, "rule-broken", describe(decision.failure))
    else if (
      canonicalJson(decision.success) !== canonicalJson(decoded) ||
      Secsync.toNewEvent(decoded, "").checkpoint !== event.checkpoint
    ) {
      report(event.version, "rule-broken", "the event does not say what was true when it was written")
    }
  }

  /** `stored`: where the storage says that the stream ends. */
  const end = (stored: StreamHead): void => {
    // The last event may have been an eviction: its generation is then not to be had from it.
    if (isGenerationKnown || stored.generation === head.generation) {
      for (const version of withoutPayload) {
        report(version, "payload-missing", "the sealed bytes are gone, though no eviction took them")
      }
    }
    if (stored.version !== head.version) {
      isIntact = false
      report(
        Math.min(stored.version, head.version) + 1,
        stored.version > head.version ? "missing-event" : "wrong-head",
        `the stream ends at version ${stored.version}, its events at ${head.version}`
      )
    } else if (
      (chains !== undefined && !chains.includes(stored.chain)) ||
      (isGenerationKnown && stored.generation !== head.generation)
    ) {
      report(head.version, "wrong-head", "the stream's own chain value or generation is not that of its last event")
    }
  }

  /** `version`: where the storage begins to read what a document is. */
  const checkTail = (version: number | undefined): void => {
    if (version === checkpoint) return
    report(checkpoint, "wrong-index", `the document is read from version ${version}, not from here`)
  }

  /** `found`: what the storage finds after the first snapshot; later ones may have come meanwhile. */
  const checkDescendants = (found: ReadonlyArray<{ readonly snapshotId: SnapshotId }> | undefined): void => {
    const [first, ...later] = snapshotIds
    const wrong = found === undefined ? first : later.find((snapshotId, i) => found[i]?.snapshotId !== snapshotId)
    if (wrong !== undefined) report(head.version, "wrong-index", `the snapshot ${wrong} is not found by its id`)
  }

  const firstSnapshot = (): SnapshotId | undefined => snapshotIds.values().next().value

  return { check, skip, end, checkTail, checkDescendants, firstSnapshot, head: () => head, isIntact: () => isIntact }
}

const decode = (event: StreamEvent): Secsync.DocumentEvent | undefined =>
  Result.getOrUndefined(Result.try(() => Secsync.fromStreamEvent(event)))

/** Events that a rule of the document's decided. */
type Decided = Exclude<Secsync.DocumentEvent, Secsync.Pruned>

/** The command that the event must have come from. */
const commandOf = (
  key: StreamKey,
  event: StreamEvent,
  decoded: Decided,
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
