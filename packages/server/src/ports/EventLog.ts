/**
 * The append-only event log. A storage compares integers and keys and stores bytes; it decides no rule of a protocol. All
 * implementations pass the suite in `@sealog/server/testing`.
 */
import { Context, type Effect, Schema } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { errorText } from "../domain/errorText.ts"
import type { Hash, LibraryId } from "../domain/Ids.ts"
import type { LogUse } from "../domain/Quota.ts"
import type { StreamEvent, StreamHead, StreamKey } from "../domain/Stream.ts"
import type { PackedMessage } from "../domain/secsync/PackedMessage.ts"

export interface PlacedEvent {
  readonly event: StreamEvent
  /** The sealed bytes; null if the event has none or they were purged. Never a view into a shared buffer. */
  readonly payload: Uint8Array | null
  /**
   * The payload as the storage's codec packs it, if it is at hand: of an event that is to be appended, beside its payload, or of one
   * that was read with `leavePacked`, in its place.
   */
  readonly packed?: PackedMessage | undefined
}

/** Events for one stream, placed after `expectedVersion`. They are stored only if the stream ends there. */
export interface Append {
  readonly key: StreamKey
  readonly expectedVersion: number
  /**
   * The chain value at the expected version, so that nothing is appended to another history of the stream: the log may have
   * been restored from a backup, and written to since. "" at version 0. Default: any.
   */
  readonly expectedChain?: Hash | ""
  readonly events: NonEmptyReadonlyArray<PlacedEvent>
  /** Deletes the payloads of the stream's events with a smaller version, in the same transaction: an eviction or a pruning. */
  readonly purgeBefore?: number
  /**
   * The stream's events with a smaller version hold no payload, so that a storage need not look at them again. Default: 0, not
   * known.
   */
  readonly purgeFrom?: number
}

export type Appended =
  | { readonly _tag: "Committed" }
  /**
   * The stream ends at another version, or at the expected one with another chain value. Nothing of this append was stored.
   */
  | { readonly _tag: "Conflict"; readonly actualVersion: number }
  /**
   * The stream ends at the expected version, but the unique key of an event belongs to another event of the stream or of this
   * append. Nothing of this append was stored.
   */
  | { readonly _tag: "UniqueKeyTaken" }
  /** Another writer holds the stream at this moment. Nothing of this append was stored. Only with `leaveHeld`. */
  | { readonly _tag: "Held" }
  /**
   * The part of the storage that holds the stream cannot be reached, and the others can. Whether this append was stored is not known,
   * as after every failed append. Only with `leaveHeld`.
   */
  | { readonly _tag: "Unreachable"; readonly failure: StorageUnavailable }

export interface AppendOptions {
  /**
   * Does not wait for streams that other writers hold, for example by `exclusively`: their appends are `Held`, and the others of
   * the batch are stored. A storage on which a stream cannot be held alone ignores this. Nor does a part of the storage that is away
   * fail the appends to the others (`Unreachable`). Default: false.
   */
  readonly leaveHeld?: boolean
}

export interface ReadOptions {
  /** Returns events with a greater version. */
  readonly after: number
  /** The most events to return. Default: all. */
  readonly limit?: number
  /** The most bytes of all payloads together; the first event is returned in any case. Default: no limit. */
  readonly maxBytes?: number
  /** Whether payloads are read. If not, they are null. Default: true. */
  readonly payloads?: boolean
  /** Whether an update's payload may be left `packed`, its `payload` null. It saves time, and a storage may ignore it. Default: false. */
  readonly leavePacked?: boolean
}

export interface StreamSummary extends StreamHead {
  readonly key: StreamKey
  /** Version of the newest checkpoint, at which the stream's tail begins. 0 if there is none. */
  readonly checkpoint: number
  /** The last event ended a generation: an eviction, or a deletion that was not allowed again. False if payloads are not counted. */
  readonly ended: boolean
  /** Payloads that were not purged, and their size together. */
  readonly payloads: number
  readonly payloadBytes: number
  /** The size of the payloads from the newest checkpoint on, or of all if there is none. */
  readonly tailBytes: number
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

/** The storage cannot be reached, is full or is busy. The same call may succeed later; nothing was half done. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  /** The operation that failed, as a verb phrase. */
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The storage failed to ${this.operation}: ${errorText(this.cause)}`
  }
}

/**
 * The log does not hold what was written: bytes of it have changed, or are gone. The same call fails again, so no caller waits
 * for it: a log dies of this error. The clients of the stream are closed with 1011, and other streams go on.
 */
export class LogDamaged extends Schema.TaggedError<LogDamaged>()("LogDamaged", {
  /** The damage, as a sentence without its full stop. */
  detail: Schema.String,
  /** Undefined if the storage cannot tell. */
  libraryId: Schema.optional(Schema.String),
  streamId: Schema.optional(Schema.String),
  version: Schema.optional(Schema.Finite),
  cause: Schema.optional(Schema.Defect())
}) {
  /** LIBRARY/STREAM, with the version if it is known; undefined if the stream is not. */
  get place(): string | undefined {
    if (this.libraryId === undefined || this.streamId === undefined) return undefined
    const stream = `${this.libraryId}/${this.streamId}`
    return this.version === undefined ? stream : `${stream} version ${this.version}`
  }

  override get message(): string {
    return `The log is damaged: ${this.place === undefined ? "" : `${this.place}: `}${this.detail}`
  }
}

export class EventLog extends Context.Service<
  EventLog,
  {
    /**
     * Stores a batch durably when it returns, in one transaction, or at least in one for all appends of a library. Results are in the
     * batch's order. A conflict of one stream never fails the append of another. A batch has at most one append per stream.
     */
    readonly append: (
      batch: NonEmptyReadonlyArray<Append>,
      options?: AppendOptions
    ) => Effect.Effect<ReadonlyArray<Appended>, StorageUnavailable>

    /**
     * Runs `use` as one transaction, during which no other writer appends to the stream. For a stream that others write to
     * faster than the caller can read it and append. A stream that does not exist cannot be held.
     */
    readonly exclusively: <A>(
      key: StreamKey,
      use: Effect.Effect<A, StorageUnavailable>
    ) => Effect.Effect<A, StorageUnavailable>

    /** The heads of streams, in the order of `keys`. A stream that does not exist is at version 0. */
    readonly heads: (keys: ReadonlyArray<StreamKey>) => Effect.Effect<ReadonlyArray<StreamHead>, StorageUnavailable>

    /** The events of a stream, oldest first. */
    readonly read: (
      key: StreamKey,
      options: ReadOptions
    ) => Effect.Effect<ReadonlyArray<PlacedEvent>, StorageUnavailable>

    /**
     * The stream's tail: its newest checkpoint and everything after it, oldest first, with the head at its end. All of it is
     * read at one moment. `before`: the chain value that the first event follows; "" if it is the stream's first.
     */
    readonly tail: (
      key: StreamKey,
      options?: { readonly payloads?: boolean }
    ) => Effect.Effect<
      { readonly before: Hash | ""; readonly head: StreamHead; readonly events: ReadonlyArray<PlacedEvent> },
      StorageUnavailable
    >

    /**
     * Events with a unique key that follow the event with the key `after`, oldest first. Undefined if the stream holds no
     * event with that key.
     */
    readonly readKeyed: (
      key: StreamKey,
      after: string
    ) => Effect.Effect<ReadonlyArray<StreamEvent> | undefined, StorageUnavailable>

    /** The number and size of the payloads that the events before a version still hold. */
    readonly held: (
      key: StreamKey,
      before: number
    ) => Effect.Effect<{ readonly payloads: number; readonly payloadBytes: number }, StorageUnavailable>

    /** Streams in the order of (library, stream), optionally of one library, of one stream id, or after a given stream. */
    readonly streams: (options: {
      readonly libraryId?: LibraryId
      readonly streamId?: string
      readonly after?: StreamKey
      readonly limit: number
      /** Whether payloads are counted. If not, their number and sizes are 0. Default: true. */
      readonly payloads?: boolean
    }) => Effect.Effect<ReadonlyArray<StreamSummary>, StorageUnavailable>

    /** The number of a library's streams. Cheap: it reads no events. */
    readonly countStreams: (libraryId: LibraryId) => Effect.Effect<number, StorageUnavailable>

    /**
     * The events and the payload bytes of all streams of a library. It looks at every payload that the library holds, so a
     * server asks seldom. Events and purges at the same time may count or not.
     */
    readonly use: (libraryId: LibraryId) => Effect.Effect<LogUse, StorageUnavailable>

    /** Libraries in the order of their ids, optionally after a given one. */
    readonly libraries: (options: {
      readonly after?: LibraryId
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<LibrarySummary>, StorageUnavailable>
  }
>()("@sealog/server/EventLog") {}
