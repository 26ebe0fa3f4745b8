/**
 * Checks one stream: every event is in its place, is chained to the one before it, and has the payload that it names.
 * Reports each cause once.
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
import type { PackedMessage } from "../../domain/secsync/PackedMessage.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"
import { PAYLOAD_CHANGED, type ProblemKind, type Report } from "./Report.ts"

/** The rules of a stream's protocol, besides place, chain and payload hash. */
export interface Rules {
  /**
   * Takes the next event; returns false when it cannot be decoded. Judges it only if `isAsWritten`. The payload is null when
   * it is missing, or is not the one that the event names.
   */
  readonly take: (event: StreamEvent, payload: Uint8Array | null, isAsWritten: boolean) => boolean
  /**
   * Judges the payload of the next event, which was read as it is packed: its hash too. Missing where payloads are not left packed.
   */
  readonly takePacked?: (event: StreamEvent, packed: PackedMessage) => void
  /** Called when an event was lost: the state is unknown, so events are not judged by it until the next checkpoint. */
  readonly forget: () => void
}

export type StreamCheck = ReturnType<typeof makeStreamCheck>

/**
 * A check to which a stream's events are given in order, from the one after `from`, and then its end. After a problem it
 * continues from the stored event, and does not judge events by a state that the problem left unknown.
 */
export const makeStreamCheck = (
  key: StreamKey,
  report: Report,
  { from = emptyHead, rules }: { readonly from?: StreamHead; readonly rules?: Rules } = {}
) => {
  let head = from
  /** Chain values that the next event may follow: two after an event that was changed; undefined after a gap. */
  let chains: ReadonlyArray<Hash | ""> | undefined = [from.chain]
  /** False after a lost event, which may have been an eviction. */
  let isGenerationKnown = true
  /** True while every event is present and as it was written. */
  let isIntact = true
  let checkpoint = 0
  /** Versions whose payload is missing: a problem unless a later event purged it. */
  let withoutPayload: Array<number> = []

  /** Reports that an event's content is unknown: it may have been an eviction, or a purge. */
  const lose = (version: number, problem: ProblemKind, detail: string): void => {
    report(version, problem, detail)
    isIntact = false
    isGenerationKnown = false
    withoutPayload = []
    rules?.forget()
  }

  /** Takes an event that the storage cannot read. */
  const skip = (version: number, detail: string): void => {
    lose(version, "unreadable-event", detail)
    chains = undefined
    head = { ...head, version }
  }

  /** Takes the next event. */
  const next = ({ event, payload, ...placed }: PlacedEvent): void => {
    const packed = payload === null ? placed.packed : undefined
    const isAsWritten = checkPlace(event)
    const isPayloadAsWritten = isAsWritten && packed === undefined && checkPayload(event, payload)
    if (isAsWritten && packed !== undefined) rules?.takePacked?.(event, packed)
    if (payload === null && packed === undefined && event.payloadHash !== "") withoutPayload.push(event.version)
    const purged = purgesBefore(event)
    if (purged > 0) withoutPayload = withoutPayload.filter((version) => version >= purged)
    head = advance(head, event)
    if (event.checkpoint) checkpoint = event.version
    if (rules?.take(event, isPayloadAsWritten ? payload : null, isAsWritten) === false) isIntact = false
  }

  /** Checks version, chain and generation; returns whether the event is as it was written. */
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
      // If only the chain value was changed, the next event follows the original value.
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
    // A changed event may hold values that have no canonical JSON.
    Result.getOrUndefined(Result.try(() => chainOf(key, previous, event)))

  const checkPayload = (event: StreamEvent, payload: Uint8Array | null): boolean => {
    if (payload === null || blake2b256(payload) === event.payloadHash) return true
    report(event.version, "payload-changed", PAYLOAD_CHANGED)
    return false
  }

  /** Ends the check. `stored`: the head that the storage names. */
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
      report(
        head.version,
        "wrong-head",
        "the stream's chain value or generation is not the one that its last event gives"
      )
    }
  }

  /** Ends the check where the stream continues. Later events purged the payloads of versions before `purged`. */
  const endBefore = (purged: number): void => {
    for (const version of withoutPayload) {
      if (version >= purged) {
        report(version, "payload-missing", "the payload is missing, though no eviction or pruning deleted it")
      }
    }
  }

  return {
    next,
    skip,
    end,
    endBefore,
    head: () => head,
    isIntact: () => isIntact,
    /** The version of the newest checkpoint; 0: there is none. */
    checkpoint: () => checkpoint,
    /** Whether a payload is missing that no event up to now purged. */
    lacksPayloads: () => withoutPayload.length > 0
  }
}
