/**
 * A stream: an ordered sequence of events with versions 1, 2, 3 … without gaps. Each event's chain value covers all events
 * before it, so that two stores hold the same stream exactly when their last chain values are equal.
 */
import { blake2b256 } from "./Blake2b.ts"
import { canonicalJson } from "./CanonicalJson.ts"
import type { Hash, LibraryId } from "./Ids.ts"

export interface StreamKey {
  readonly libraryId: LibraryId
  /** A Secsync document's id, or an id of the server's own, which begins with `@`. */
  readonly streamId: string
}

/** The version and chain of a stream's last event. Version 0: the stream does not exist. */
export interface StreamHead {
  readonly version: number
  /** The number of times that the stream was evicted or deleted. */
  readonly generation: number
  /** The last event's chain value; "" at version 0. */
  readonly chain: Hash | ""
}

/** An event that is decided, but has no place in a stream yet. */
export interface NewEvent {
  readonly type: string
  /** Small JSON: ids, clocks, proofs. Never the sealed bytes. */
  readonly data: object
  /** BLAKE2b-256 of the sealed bytes; "" for an event without any. */
  readonly payloadHash: Hash | ""
  /** A reader can start at this event: it holds everything of earlier events that later ones need. */
  readonly checkpoint: boolean
  /**
   * A storage keeps at most one event with this key in a stream, and finds the event by it. The key repeats a part of `data`,
   * so the chain does not cover it a second time.
   */
  readonly uniqueKey?: string
}

/** An event in its place in a stream, immutable. Its payload can be purged; `payloadHash` stays. */
export interface StreamEvent extends NewEvent {
  readonly version: number
  readonly generation: number
  readonly chain: Hash
  /** The writer: a session's id, or the name of an administrative command. */
  readonly origin: string
  /** Milliseconds since 1970, by the writer's clock: for people, never for order. */
  readonly recordedAt: number
}

export const emptyHead: StreamHead = { version: 0, generation: 0, chain: "" }

export const streamName = (key: StreamKey): string => `${key.libraryId}/${key.streamId}`

/**
 * The chain value of an event: BLAKE2b-256 over the previous chain value and the canonical JSON (RFC 8785) of the
 * envelope. The envelope holds the payload's hash, so that the chain can be verified after the payload was purged.
 */
export const chainOf = (key: StreamKey, previous: Hash | "", event: Omit<StreamEvent, "chain">): Hash =>
  blake2b256(previous + envelopeOf(key, event))

/** The canonical JSON of the envelope, written by hand because its keys are always the same. */
const envelopeOf = ({ libraryId, streamId }: StreamKey, event: Omit<StreamEvent, "chain">): string =>
  `{"checkpoint":${event.checkpoint},"data":${canonicalJson(event.data)},"generation":${event.generation}` +
  `,"libraryId":${JSON.stringify(libraryId)},"origin":${JSON.stringify(event.origin)}` +
  `,"payloadHash":"${event.payloadHash}","recordedAt":${event.recordedAt},"streamId":${JSON.stringify(streamId)}` +
  `,"type":${JSON.stringify(event.type)},"version":${event.version}}`

/** Gives an event its place after `head`: version, generation and chain. */
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
 * The type of the event that deletes a stream for good, in every protocol: every payload is purged, and nothing but
 * `ALLOWED_AGAIN` may follow. It ends a generation.
 */
export const DELETED = "Deleted"

/** The type of the event that lets a deleted stream begin again, as if it was new. */
export const ALLOWED_AGAIN = "AllowedAgain"

/** Whether an event of this type purges every payload before it, and ends a generation. */
export const endsGeneration = (type: string): boolean => type === EVICTED || type === DELETED

/**
 * The type of the event that prunes superseded payloads, in every protocol: those of events with a version smaller than its
 * `before`. It changes nothing else.
 */
export const PRUNED = "Pruned"

/**
 * The type of Verdant's compaction event. It holds everything that the stream's earlier events held, and purges the payloads
 * of those with a version smaller than its `before`.
 */
export const FOLDED = "Folded"

/** The type of a webhook's checkpoint: it purges the payloads of the events with a version smaller than its `before`. */
export const WEBHOOK_KEPT = "WebhookKept"

/** The type of the event that removes a webhook, and purges every payload before it: its secret. */
export const WEBHOOK_REMOVED = "WebhookRemoved"

/**
 * The type of the event that ends a checkpoint in parts. The parts are events before it, and hold the library as it was at
 * version `of`.
 */
export const CHECKPOINT_ENDED = "CheckpointEnded"

/** The version at which to begin reading a stream whose newest checkpoint this is. */
export const readsFrom = ({ data, type, version }: StreamEvent): number =>
  type === CHECKPOINT_ENDED && "of" in data && typeof data.of === "number" ? data.of : version

/** Events with a smaller version than this lose their payload through the event. 0: none do. */
export const purgesBefore = (event: StreamEvent): number => {
  if (endsGeneration(event.type) || event.type === WEBHOOK_REMOVED) return event.version
  if (
    (event.type !== PRUNED && event.type !== FOLDED && event.type !== WEBHOOK_KEPT) ||
    !("before" in event.data) ||
    typeof event.data.before !== "number"
  )
    return 0
  return Math.min(event.data.before, event.version)
}

/** The head after `event`. An eviction or deletion belongs to the generation that it ends. */
export const advance = (head: StreamHead, event: StreamEvent): StreamHead => ({
  version: event.version,
  generation: endsGeneration(event.type) ? head.generation + 1 : head.generation,
  chain: event.chain
})
