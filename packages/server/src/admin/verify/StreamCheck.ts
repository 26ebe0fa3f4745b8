/**
 * One stream folded again: every event in its place, chained to the one before it, with the payload that it names. One
 * cause gives one report.
 */
import { Result } from "effect"
import { blake2b256 } from "../../domain/Blake2b.ts"
import type { Hash } from "../../domain/Ids.ts"
import {
  advance,
  chainOf,
  emptyHead,
  purgesBefore,
  type StreamEvent,
  type StreamHead,
  type StreamKey
} from "../../domain/Stream.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"

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
  /** A payload is gone that no eviction and no pruning took. */
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

/** `unless`: it is no problem if this was signed by its key, which is left to find out. */
export type Report = (version: number, problem: ProblemKind, detail: string, unless?: SignedText) => void

/** What the events of a stream are held to besides their place: the rules that accepted them. */
export interface Rules {
  /**
   * The next event; false when it is none of theirs. It is to be judged only when it is as it was written. The payload is
   * null when it is gone, or is not the one that the event names.
   */
  readonly take: (event: StreamEvent, payload: Uint8Array | null, isAsWritten: boolean) => boolean
  /** What happened before the next event is not known: nothing is judged by it, up to the next checkpoint. */
  readonly forget: () => void
}

export type StreamCheck = ReturnType<typeof makeStreamCheck>

/**
 * Takes a stream's events in order, after those up to `from`, and then `end`. After a problem it goes on from what is
 * stored, and what cannot be judged because of it is left unjudged.
 */
export const makeStreamCheck = (
  key: StreamKey,
  report: Report,
  { from = emptyHead, rules }: { readonly from?: StreamHead; readonly rules?: Rules } = {}
) => {
  let head = from
  /** What the next event may be chained to: two values when one of them was changed; none known after a gap. */
  let chains: ReadonlyArray<Hash | ""> | undefined = [from.chain]
  /** False after an event that may or may not have been an eviction. */
  let isGenerationKnown = true
  /** Whether every event is there and is what it was. */
  let isIntact = true
  let checkpoint = 0
  /** Versions without their payload: right only if a later event takes it. */
  let withoutPayload: Array<number> = []

  /** What an event was is not known: it may have been an eviction. */
  const lose = (version: number, problem: ProblemKind, detail: string): void => {
    report(version, problem, detail)
    isIntact = false
    isGenerationKnown = false
    withoutPayload = []
    rules?.forget()
  }

  /** The event of this version cannot be read. */
  const skip = (version: number, detail: string): void => {
    lose(version, "unreadable-event", detail)
    chains = undefined
    head = { ...head, version }
  }

  const check = ({ event, payload }: PlacedEvent): void => {
    const isAsWritten = checkPlace(event)
    const isPayloadAsWritten = isAsWritten && checkPayload(event, payload)
    if (payload === null && event.payloadHash !== "") withoutPayload.push(event.version)
    const purged = purgesBefore(event)
    if (purged > 0) withoutPayload = withoutPayload.filter((version) => version >= purged)
    head = advance(head, event)
    if (event.checkpoint) checkpoint = event.version
    if (rules?.take(event, isPayloadAsWritten ? payload : null, isAsWritten) === false) isIntact = false
  }

  /** Version, chain and generation. */
  const checkPlace = (event: StreamEvent): boolean => {
    const { version } = event
    if (version !== head.version + 1) {
      const last = version - 1
      const missing = last === head.version + 1 ? `version ${last}` : `versions ${head.version + 1} to ${last}`
      const detail = last > head.version ? `${missing} missing before version ${version}` : `version ${version} again`
      lose(head.version + 1, "missing-event", detail)
      chains = undefined
      head = { ...head, version: last }
    }
    if (chains !== undefined && !chains.some((chain) => chainAfter(chain, event) === event.chain)) {
      lose(version, "chain-broken", "the event or its chain value was changed after it was written")
      // Should only the chain value have been changed, the next event is chained to the one it was.
      chains = [event.chain, ...chains.flatMap((chain) => chainAfter(chain, event) ?? [])]
      return false
    }
    chains = [event.chain]
    if (event.generation !== head.generation) {
      if (isGenerationKnown) {
        report(version, "wrong-generation", `generation ${event.generation}, evictions before it: ${head.generation}`)
        rules?.forget()
      }
      head = { ...head, generation: event.generation }
    }
    isGenerationKnown = true
    return true
  }

  const chainAfter = (previous: Hash | "", event: StreamEvent): Hash | undefined =>
    // What was changed may not be canonical JSON any more.
    Result.getOrUndefined(Result.try(() => chainOf(key, previous, event)))

  const checkPayload = (event: StreamEvent, payload: Uint8Array | null): boolean => {
    if (payload === null || blake2b256(payload) === event.payloadHash) return true
    report(event.version, "payload-changed", "the sealed bytes do not have the hash that the event names")
    return false
  }

  /** `stored`: where the storage says that the stream ends. */
  const end = (stored: StreamHead): void => {
    endBefore(0)
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

  /** Instead of `end`, where the stream goes on. `purged`: later events take the payloads of versions before this. */
  const endBefore = (purged: number): void => {
    for (const version of withoutPayload) {
      if (version >= purged) {
        report(version, "payload-missing", "the sealed bytes are gone, though no eviction and no pruning took them")
      }
    }
  }

  return {
    check,
    skip,
    end,
    endBefore,
    head: () => head,
    isIntact: () => isIntact,
    /** The version of the last checkpoint. */
    checkpoint: () => checkpoint,
    /** Whether a payload is gone that no event up to now has taken. */
    lacksPayloads: () => withoutPayload.length > 0
  }
}
