/**
 * The two sides of a room: `RoomProtocol` is what a protocol gives to a room, and `Room` is what a session gets from it.
 * A room knows streams, versions and commits; the protocol alone knows what a command and a frame mean.
 */
import type { Effect, Result, Scope } from "effect"
import type { LongWork } from "../domain/LongWork.ts"
import type { NewEvent, StreamEvent, StreamHead, StreamKey } from "../domain/Stream.ts"
import type { PackedMessage } from "../domain/secsync/PackedMessage.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import type { Arrival } from "./FrameTraces.ts"
import type { Tail } from "./TailCache.ts"

/** A protocol: its pure rules, and the frames and the memory that go with them. */
export interface RoomProtocol<State, Command, Refusal, Local, Context> {
  readonly initial: (key: StreamKey) => State
  /** Pure: the same arguments give the same decision. */
  readonly decide: (state: State, command: Command, context: Context) => Result.Result<Decision, Refusal>
  /** Makes the third argument of `decide`, such as the time, right before each decision. It must be immutable. */
  readonly context: (local: Local) => Context
  readonly evolve: (state: State, event: StreamEvent, payload: Uint8Array | null) => State
  /** Steps after which `evolve` of the same takes no time; undefined: it takes none anyway. They change nothing else. */
  readonly prepare?: (state: State, event: StreamEvent, payload: Uint8Array | null) => LongWork | undefined
  /** True if `evolve` reads payloads. Otherwise a room opens without reading them from the log. */
  readonly readsPayloads: boolean
  /** True for a refusal such as "already stored", which stays right whatever other processes write. */
  readonly isSettled: (refusal: Refusal) => boolean
  /** The frame that fans an event out; built once for all connections. undefined: the event has none. */
  readonly frame: (event: StreamEvent, payload: Uint8Array | null) => Uint8Array | undefined
  /** Makes the protocol's own memory of a room, which is not in the log. `state` and `version`: as the room opens. */
  readonly local: (state: State, key: StreamKey, version: number) => Local
  /** Called with every durable event, in version order, before any subscriber. */
  readonly observe: (local: Local, event: StreamEvent, payload: Uint8Array | null) => void
  /** Whether an ephemeral frame that another process relayed is passed on. Default: always. */
  readonly relays?: (local: Local, frame: Uint8Array) => boolean
  /** Called with a message that the same stream's room on another process sent with `tell`. */
  readonly hear: (local: Local, message: Uint8Array) => void
}

/** The event that a command becomes. */
export interface Decision {
  readonly event: NewEvent
  readonly payload: Uint8Array | null
  /** See `PlacedEvent.packed`. */
  readonly packed?: PackedMessage | undefined
  /** The append deletes the payloads of the stream's events with a smaller version. Default: 0, none. */
  readonly purgeBefore?: number
  /** See `Append.purgeFrom`. Default: 0. */
  readonly purgeFrom?: number
}

export type Outcome<Refusal> =
  | { readonly _tag: "Stored"; readonly event: StreamEvent }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }
  /** The storage failed, or other processes were faster too often. The event may have been stored. */
  | { readonly _tag: "Unavailable" }
  /**
   * A defect: the protocol's rules threw for this command, or the room was dropped. The log has the cause, and the session
   * must end. If the room was dropped, the event may have been stored.
   */
  | { readonly _tag: "Failed" }

/** A durable event, as subscribers receive it. */
export interface Committed {
  readonly event: StreamEvent
  readonly frame: Uint8Array | undefined
}

export type FailReason = "defect" | "restored" | "memory" | "behind"

export interface Subscriber {
  /** The `origin` of this subscriber's commands. It is in their events, so that the subscriber knows its own. */
  readonly id: string
  /** Called once for every event from `subscribe` on, in version order. If it throws, the subscriber fails. */
  readonly deliver: (committed: Committed) => void
  /** Called with another subscriber's ephemeral frame; may be dropped. If it throws, the subscriber fails. */
  readonly relay: (frame: Uint8Array) => void
  /**
   * Ends the session, which the room has removed. "defect": in the subscriber or in the room; the client is closed with 1011.
   * "restored": the log was restored from a backup, and the room has ended; the client is closed with 1013 and comes back.
   * "memory": the room has ended, because the process has too little memory; the client is closed with 1013 as well.
   * "behind": another process removed what the room had not read, and the room has ended; closed with 1013 as well.
   */
  readonly fail: (why: FailReason) => void
}

export interface Room<State, Command, Refusal, Local> {
  readonly key: StreamKey
  readonly local: Local
  /** The committed state, never ahead of the log. */
  readonly state: () => State
  /**
   * Decides commands in their order. `respond` is called once for each, in the same order for one origin. When it says
   * "Stored", `state` is the state right after that event. `respond` may submit again. If it throws, the subscriber with
   * this origin fails. `arrival`: when the command's frame arrived, for its trace.
   */
  readonly submit: (
    command: Command,
    origin: string,
    respond: (outcome: Outcome<Refusal>) => void,
    arrival?: Arrival
  ) => void
  /** Adds a subscriber until the scope closes. It fails at once if the room was dropped. */
  readonly subscribe: (subscriber: Subscriber) => Effect.Effect<void, never, Scope.Scope>
  /** The stream's tail, up to the room's version or later. Callers at one version share one read. */
  readonly tail: Effect.Effect<Tail, StorageUnavailable>
  /** The tail with everything that other processes had written when this was called. */
  readonly newestTail: Effect.Effect<Tail, StorageUnavailable>
  /** Sends an ephemeral frame to every other subscriber, on this process and the others; may be lost. */
  readonly relay: (frame: Uint8Array, from: Subscriber) => void
  /** Sends a message of the protocol to the rooms of this stream on other processes; may be lost. */
  readonly tell: (message: Uint8Array) => void
  /** Takes a message that another process's room of this stream sent with `relay` or `tell`. */
  readonly receive: (message: Uint8Array) => void
  /** The last event that subscribers received. */
  readonly head: () => StreamHead
  readonly version: () => number
  /** Makes the room read what other processes wrote. */
  readonly wake: () => void
  /** True when every command is answered. */
  readonly isIdle: () => boolean
  /**
   * The time since which the room has neither answered a command nor read on, though a command waits; milliseconds since
   * 1970. undefined: no command waits.
   */
  readonly waitingSince: () => number | undefined
  /**
   * Ends the room, because the log was restored: its clients come back, and the stream opens in a new room. `found`: the
   * stream's head in the log, if that tells it.
   */
  readonly leaveLog: (found?: StreamHead) => void
  /** Whether any session is sent what happens in the room. */
  readonly hasSubscribers: () => boolean
  /**
   * Ends the room and forgets its state, because the process has too little memory. The stream opens in a new room, for
   * clients that come back once there is room.
   */
  readonly giveWay: () => void
  /**
   * True after a defect that leaves the state in doubt, after `leaveLog`, or after `giveWay`. The room does nothing any more; the stream opens
   * in a new one.
   */
  readonly isDropped: () => boolean
}
