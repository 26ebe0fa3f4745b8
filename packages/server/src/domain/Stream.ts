/**
 * A stream is the append-only history of one document: versions 1, 2, 3 … without gaps, each event chained to the one
 * before, so that two stores hold the same stream exactly when their last chain values are equal.
 */
import { blake2b256 } from "./Blake2b.ts"
import { canonicalJson } from "./CanonicalJson.ts"
import type { Hash, LibraryId } from "./Ids.ts"

export interface StreamKey {
  readonly libraryId: LibraryId
  /** A document's id, or one of our own beginning with `@`. */
  readonly streamId: string
}

/** Where a stream ends. Version 0 is a stream that does not exist. */
export interface StreamHead {
  readonly version: number
  /** How often the stream was evicted. */
  readonly generation: number
  /** The last event's chain value; "" at version 0. */
  readonly chain: Hash | ""
}

/** What a decision yields: not yet placed in a stream. */
export interface NewEvent {
  readonly type: string
  /** Small JSON: ids, clocks, proofs. Never the sealed bytes. */
  readonly data: object
  /** BLAKE2b-256 of the sealed bytes; "" for an event without any. */
  readonly payloadHash: Hash | ""
  /** A fold can start at this event: it says all that earlier ones said and later ones need. */
  readonly checkpoint: boolean
  /**
   * A storage keeps at most one event with this key in a stream, and finds the event by it. The key repeats a part of `data`,
   * so the chain does not cover it a second time.
   */
  readonly uniqueKey?: string
}

/** An event in its place: never changed, never deleted. Its payload can be purged, `payloadHash` stays. */
export interface StreamEvent extends NewEvent {
  readonly version: number
  readonly generation: number
  readonly chain: Hash
  /** Who wrote it: a session's id, or the name of an administrative command. */
  readonly origin: string
  /** Milliseconds since 1970, by the writer's clock: for people, never for order. */
  readonly recordedAt: number
}

export const emptyHead: StreamHead = { version: 0, generation: 0, chain: "" }

export const streamName = (key: StreamKey): string => `${key.libraryId}/${key.streamId}`

/**
 * The chain value of an event: BLAKE2b-256 over the previous chain value and the canonical JSON (RFC 8785) of the
 * envelope, which includes the payload's hash; so it can be checked also after the payload was purged.
 */
export const chainOf = (key: StreamKey, previous: Hash | "", event: Omit<StreamEvent, "chain">): Hash =>
  blake2b256(previous + envelopeOf(key, event))

/** Put together by hand, as its keys are always the same: in their order, and nothing in between. */
const envelopeOf = ({ libraryId, streamId }: StreamKey, event: Omit<StreamEvent, "chain">): string =>
  `{"checkpoint":${event.checkpoint},"data":${canonicalJson(event.data)},"generation":${event.generation}` +
  `,"libraryId":${JSON.stringify(libraryId)},"origin":${JSON.stringify(event.origin)}` +
  `,"payloadHash":"${event.payloadHash}","recordedAt":${event.recordedAt},"streamId":${JSON.stringify(streamId)}` +
  `,"type":${JSON.stringify(event.type)},"version":${event.version}}`

/** Places an event after `head`. */
export const place = (
  key: StreamKey,
  head: StreamHead,
  event: NewEvent,
  origin: string,
  recordedAt: number
): StreamEvent => {
  const placed = { ...event, version: head.version + 1, generation: head.generation, origin, recordedAt }
  return { ...placed, chain: chainOf(key, head.chain, placed) }
}

/** The type of the event that ends a generation, in every protocol. */
export const EVICTED = "Evicted"

/**
 * The type of the event that says which payloads were superseded and then deleted, in every protocol: those of events
 * with a version before its `before`. It changes nothing else.
 */
export const PRUNED = "Pruned"

/**
 * The type of the event that says all that a stream's earlier events said, and takes the payloads of those with a version
 * before its `before` with it.
 */
export const FOLDED = "Folded"

/** Versions before this one have no payload any more because of the event. 0: it takes none. */
export const purgesBefore = (event: StreamEvent): number => {
  if (event.type === EVICTED) return event.version
  if (
    (event.type !== PRUNED && event.type !== FOLDED) ||
    !("before" in event.data) ||
    typeof event.data.before !== "number"
  )
    return 0
  return Math.min(event.data.before, event.version)
}

/** The head after `event`. An eviction belongs to the generation that it ends. */
export const advance = (head: StreamHead, event: StreamEvent): StreamHead => ({
  version: event.version,
  generation: event.type === EVICTED ? head.generation + 1 : head.generation,
  chain: event.chain
})
