/**
 * The log, folded again from its first event: every version, chain value, payload, signature, clock and parent proof
 * checked anew by the rules that accepted them.
 */
import { Effect, Result } from "effect"
import { blake2b256 } from "../domain/Blake2b.ts"
import { canonicalJson } from "../domain/CanonicalJson.ts"
import type { DocumentId, Hash, LibraryId, SnapshotId } from "../domain/Ids.ts"
import * as Secsync from "../domain/Secsync.ts"
import { advance, chainOf, emptyHead, type StreamEvent, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent } from "../EventLog.ts"
import { makeDecoder } from "../protocols/secsync/Wire.ts"
import { verifySignature } from "../Signatures.ts"
import { eachStream, listLibraries } from "./Documents.ts"

export type ProblemKind =
  /** Versions that are not there. */
  | "missing-event"
  /** An event, or the one before it, is not what it was when it was written. */
  | "chain-broken"
  /** An event of another generation than the evictions before it make. */
  | "wrong-generation"
  /** An event that is none of ours. */
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

export interface Problem {
  readonly libraryId: LibraryId
  readonly streamId: string
  readonly version: number
  readonly problem: ProblemKind
  readonly detail: string
}

export interface ReplayReport {
  readonly streams: number
  readonly events: number
  /** Payloads that are still there; each had its hash, its content and its signature checked. */
  readonly payloads: number
  /** The first of the problems that were found, at most 1,000. */
  readonly problems: ReadonlyArray<Problem>
  readonly problemCount: number
}

export interface ReplayOptions {
  readonly libraryId?: LibraryId
  readonly documentId?: DocumentId
  readonly onProgress?: (events: number, total: number) => void
}

/** Events read at a time. */
const PAGE = 500
const MAX_PROBLEMS = 1000

export const replay = Effect.fn("replay")(function* (options: ReplayOptions = {}) {
  const libraries = yield* listLibraries()
  const total = libraries
    .filter(({ libraryId }) => options.libraryId === undefined || libraryId === options.libraryId)
    .reduce((sum, { events }) => sum + events, 0)
  const problems: Array<Problem> = []
  let [streams, events, payloads, problemCount] = [0, 0, 0, 0]

  const replayStream = Effect.fnUntraced(function* (key: StreamKey) {
    const log = yield* EventLog
    const report = (version: number, problem: ProblemKind, detail: string) => {
      problemCount += 1
      if (problems.length < MAX_PROBLEMS) problems.push({ ...key, version, problem, detail })
    }
    const fold = makeFold(key, report)
    streams += 1
    while (true) {
      const page = yield* log.read(key, { after: fold.head().version, limit: PAGE })
      for (const placed of page) {
        fold.check(placed)
        events += 1
        if (placed.payload !== null) payloads += 1
      }
      options.onProgress?.(events, total)
      // Let the progress be drawn and an interruption be noticed: checking signatures leaves no other pause.
      yield* Effect.yieldNow
      if (page.length < PAGE) break
    }
    const [head] = yield* log.heads([key])
    fold.end(head ?? emptyHead)
  })

  yield* eachStream(options.libraryId, ({ key }) =>
    options.documentId === undefined || key.streamId === options.documentId ? replayStream(key) : Effect.void
  )
  return { streams, events, payloads, problems, problemCount } satisfies ReplayReport
})

/** One stream's fold. After a problem it goes on with what is stored, so that one cause gives one report. */
const makeFold = (key: StreamKey, report: (version: number, problem: ProblemKind, detail: string) => void) => {
  let head: StreamHead = emptyHead
  let state = Secsync.initial(key.streamId as DocumentId)
  /** False while something that the state depends on is known to be wrong: until the next checkpoint. */
  let isStateKnown = true
  const snapshotIds = new Set<SnapshotId>()
  const withoutPayload: Array<{ readonly version: number; readonly generation: number }> = []

  const check = ({ event, payload }: PlacedEvent): void => {
    const isInPlace = checkPlace(event)
    const decoded = decode(event)
    if (decoded === undefined) report(event.version, "unreadable-event", `type ${event.type}`)
    const isPayloadIntact = checkPayload(event, payload)
    head = advance(head, event)
    if (decoded === undefined) {
      isStateKnown = false
      return
    }
    if (isInPlace && isPayloadIntact && payload !== null) checkContent(event, decoded, payload)
    if (!isInPlace) isStateKnown = false
    if (isStateKnown) checkRules(event, decoded)
    state = Secsync.evolve(state, decoded, event.payloadHash)
    if (decoded._tag === "SnapshotStored") snapshotIds.add(decoded.snapshotId)
    if (isInPlace && event.checkpoint) isStateKnown = true
  }

  /** Version, generation and chain; continues from what is stored. */
  const checkPlace = (event: StreamEvent): boolean => {
    const { version } = event
    if (version !== head.version + 1) {
      const last = version - 1
      const missing = last === head.version + 1 ? `version ${last}` : `versions ${head.version + 1} to ${last}`
      report(head.version + 1, "missing-event", `${missing} missing before version ${version}`)
      head = { version: last, generation: event.generation, chain: head.chain }
      return false
    }
    if (event.generation !== head.generation) {
      report(
        version,
        "wrong-generation",
        `generation ${event.generation}, but ${head.generation} evictions came before`
      )
      head = { ...head, generation: event.generation }
      return false
    }
    if (chainOf(key, head.chain, event) !== event.chain) {
      report(version, "chain-broken", "the event or its chain value was changed after it was written")
      return false
    }
    return true
  }

  const checkPayload = (event: StreamEvent, payload: Uint8Array | null): boolean => {
    if (payload === null) {
      if (event.payloadHash !== "") withoutPayload.push({ version: event.version, generation: event.generation })
      return event.payloadHash === ""
    }
    if (blake2b256(payload) === event.payloadHash) return true
    report(event.version, "payload-changed", "the sealed bytes do not have the hash that the event names")
    return false
  }

  const checkContent = (event: StreamEvent, decoded: Secsync.DocumentEvent, payload: Uint8Array): void => {
    const message = decodeMessage(Buffer.from(payload).toString())
    const difference = differenceOf(key, decoded, message)
    if (difference !== undefined) report(event.version, "payload-mismatch", difference)
    else if ("signed" in message && !verifySignature(message.signed)) {
      report(event.version, "signature-invalid", `not signed by the key ${message.pubKey}`)
    }
  }

  const checkRules = (event: StreamEvent, decoded: Secsync.DocumentEvent): void => {
    const decision = Secsync.decide(state, commandOf(key, event, decoded, snapshotIds))
    if (Result.isFailure(decision)) report(event.version, "rule-broken", describe(decision.failure))
    else if (canonicalJson(decision.success) !== canonicalJson(decoded)) {
      report(event.version, "rule-broken", "the event does not say what was true when it was written")
    }
  }

  const end = (stored: StreamHead): void => {
    for (const { version, generation } of withoutPayload) {
      if (generation === head.generation)
        report(version, "payload-missing", "the sealed bytes are gone, though no eviction took them")
    }
    if (stored.version !== head.version) {
      report(
        head.version + 1,
        stored.version > head.version ? "missing-event" : "wrong-head",
        `the stream ends at version ${stored.version}, its events at ${head.version}`
      )
    } else if (stored.chain !== head.chain || stored.generation !== head.generation) {
      report(head.version, "wrong-head", "the stream's own chain value or generation is not that of its last event")
    }
  }

  return { check, end, head: () => head }
}

const decodeMessage = makeDecoder()

const decode = (event: StreamEvent): Secsync.DocumentEvent | undefined =>
  Result.getOrUndefined(Result.try(() => Secsync.fromStreamEvent(event)))

/** The command that the event must have come from. */
const commandOf = (
  key: StreamKey,
  event: StreamEvent,
  decoded: Secsync.DocumentEvent,
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

/** In what the payload differs from the event; undefined when in nothing. */
const differenceOf = (
  key: StreamKey,
  event: Secsync.DocumentEvent,
  message: ReturnType<typeof decodeMessage>
): string | undefined => {
  if (event._tag === "SnapshotStored" && message._tag === "Snapshot") {
    if (message.documentId !== key.streamId) return `the payload is of document ${message.documentId}`
    for (const field of [
      "snapshotId",
      "parentSnapshotId",
      "parentSnapshotProof",
      "pubKey",
      "ciphertextHash"
    ] as const) {
      if (message[field] !== event[field]) return `the payload has another ${field}`
    }
    const clocks = Object.entries(event.parentSnapshotUpdateClocks)
    const { parentSnapshotUpdateClocks } = message
    const isSame =
      clocks.length === parentSnapshotUpdateClocks.size &&
      clocks.every(([pubKey, clock]) => parentSnapshotUpdateClocks.get(pubKey as never) === clock)
    return isSame ? undefined : "the payload has other parentSnapshotUpdateClocks"
  }
  if (event._tag === "UpdateStored" && message._tag === "Update") {
    if (message.documentId !== key.streamId) return `the payload is of document ${message.documentId}`
    for (const field of ["refSnapshotId", "pubKey", "clock"] as const) {
      if (message[field] !== event[field]) return `the payload has another ${field}`
    }
    return undefined
  }
  return "the payload is another kind of message"
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
