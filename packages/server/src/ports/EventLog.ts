/**
 * The append-only log. A storage compares integers and stores bytes; it never judges: every rule was decided before.
 * All implementations pass the suite in `@sealog/server/testing`.
 */
import { Context, type Effect, Schema } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { LibraryId } from "../domain/Ids.ts"
import type { StreamEvent, StreamHead, StreamKey } from "../domain/Stream.ts"

export interface PlacedEvent {
  readonly event: StreamEvent
  /** The sealed bytes; null when the event has none or they were purged. Never a view into a shared buffer. */
  readonly payload: Uint8Array | null
}

/** Events for one stream, placed after `expectedVersion`, stored only if the stream ends there. */
export interface Append {
  readonly key: StreamKey
  readonly expectedVersion: number
  readonly events: NonEmptyReadonlyArray<PlacedEvent>
  /** In the same transaction, delete the payloads of the stream's events with a smaller version: an eviction, a pruning. */
  readonly purgeBefore?: number
}

export type Appended =
  | { readonly _tag: "Committed" }
  /** The stream ends elsewhere; nothing of this append was stored. */
  | { readonly _tag: "Conflict"; readonly actualVersion: number }
  /**
   * The stream ends at the expected version, but the unique key of an event belongs to another event of the stream or of this
   * append. Nothing of this append was stored.
   */
  | { readonly _tag: "UniqueKeyTaken" }

export interface ReadOptions {
  /** Events with a greater version. */
  readonly after: number
  /** At most this many. Default: all. */
  readonly limit?: number
  /** As many as have payloads of at most this size together, and at least one. Default: any size. */
  readonly maxBytes?: number
  /** Whether payloads are read as well. Default: true. */
  readonly payloads?: boolean
}

export interface StreamSummary extends StreamHead {
  readonly key: StreamKey
  /** Version of the newest checkpoint: what is read as the stream's tail begins there. 0: there is none. */
  readonly checkpoint: number
  /** Payloads still held, and their size together. */
  readonly payloads: number
  readonly payloadBytes: number
  /** `recordedAt` of the first and last event. */
  readonly createdAt: number
  readonly updatedAt: number
}

export interface LibrarySummary {
  readonly libraryId: LibraryId
  readonly streams: number
  readonly events: number
  readonly payloadBytes: number
  readonly updatedAt: number
}

/** The storage cannot be reached, is full or is busy: the same call may succeed later, and nothing was half done. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  /** What was being done. */
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The storage failed to ${this.operation}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

export class EventLog extends Context.Service<
  EventLog,
  {
    /**
     * Stores a batch in one transaction, durably when it returns. Results are in the batch's order; one stream's
     * conflict never fails another's append. At most one append per stream in a batch.
     */
    readonly append: (
      batch: NonEmptyReadonlyArray<Append>
    ) => Effect.Effect<ReadonlyArray<Appended>, StorageUnavailable>

    /**
     * While `use` runs, nobody else appends to the stream: what it reads and appends through this log is one transaction.
     * For a stream that others write to faster than one can read it and answer. A stream that does not exist yet cannot
     * be held still.
     */
    readonly exclusively: <A>(
      key: StreamKey,
      use: Effect.Effect<A, StorageUnavailable>
    ) => Effect.Effect<A, StorageUnavailable>

    /** Where the streams end, in the order asked; unknown streams are at version 0. */
    readonly heads: (keys: ReadonlyArray<StreamKey>) => Effect.Effect<ReadonlyArray<StreamHead>, StorageUnavailable>

    /** Events of a stream, oldest first. */
    readonly read: (
      key: StreamKey,
      options: ReadOptions
    ) => Effect.Effect<ReadonlyArray<PlacedEvent>, StorageUnavailable>

    /**
     * The stream's tail: its newest checkpoint and what follows, oldest first, with the head it ends at; read at one
     * moment. Everything that serving a document needs.
     */
    readonly tail: (
      key: StreamKey,
      options?: { readonly payloads?: boolean }
    ) => Effect.Effect<{ readonly head: StreamHead; readonly events: ReadonlyArray<PlacedEvent> }, StorageUnavailable>

    /**
     * Events with a unique key that follow the event with the key `after`, oldest first. Undefined if the stream holds no
     * event with that key.
     */
    readonly readKeyed: (
      key: StreamKey,
      after: string
    ) => Effect.Effect<ReadonlyArray<StreamEvent> | undefined, StorageUnavailable>

    /** How many payloads the events with a version before this one still hold, and their size together. */
    readonly held: (
      key: StreamKey,
      before: number
    ) => Effect.Effect<{ readonly payloads: number; readonly payloadBytes: number }, StorageUnavailable>

    /** Streams in order of (library, stream), after a given one: of one library or of all, or of one name. */
    readonly streams: (options: {
      readonly libraryId?: LibraryId
      readonly streamId?: string
      readonly after?: StreamKey
      readonly limit: number
      /** Whether payloads are counted; their number and size are 0 otherwise. Default: true. */
      readonly payloads?: boolean
    }) => Effect.Effect<ReadonlyArray<StreamSummary>, StorageUnavailable>

    /** Libraries in order of their id, after a given one. */
    readonly libraries: (options: {
      readonly after?: LibraryId
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<LibrarySummary>, StorageUnavailable>
  }
>()("@sealog/server/EventLog") {}
