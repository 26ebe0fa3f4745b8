/** What a room is to its protocol and to the sessions in it. */
import type { Effect, Result, Scope } from "effect"
import type { NewEvent, StreamEvent, StreamKey } from "../domain/Stream.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import type { Tail } from "./TailCache.ts"

/** What a protocol brings: its pure core, and what its connections are told. */
export interface RoomProtocol<State, Command, Refusal, Local, Context> {
  readonly initial: (key: StreamKey) => State
  /** Pure: the same arguments give the same decision. */
  readonly decide: (state: State, command: Command, context: Context) => Result.Result<Decision, Refusal>
  /** What else a decision depends on, such as the time; made when a command is decided, and immutable. */
  readonly context: (local: Local) => Context
  readonly evolve: (state: State, event: StreamEvent, payload: Uint8Array | null) => State
  /** Whether `evolve` looks at payloads: without, a room opens without reading them. */
  readonly readsPayloads: boolean
  /** A refusal that says "already done": true whatever other processes have written since. */
  readonly isSettled: (refusal: Refusal) => boolean
  /** The frame that tells other connections of an event; built once for all of them. */
  readonly frame: (event: StreamEvent, payload: Uint8Array | null) => Uint8Array | undefined
  /** State of the protocol's own that a room carries, beginning with the state that the room opens with. */
  readonly local: (state: State, key: StreamKey) => Local
  /** Tells it of every event that became durable, before any subscriber. */
  readonly observe: (local: Local, event: StreamEvent) => void
  /** Tells it what the same room on another process was told to `tell`. */
  readonly hear: (local: Local, message: Uint8Array) => void
}

/** What a command becomes. */
export interface Decision {
  readonly event: NewEvent
  readonly payload: Uint8Array | null
  /** With the event, the payloads of the stream's events with a smaller version go. Default: none. */
  readonly purgeBefore?: number
}

export type Outcome<Refusal> =
  | { readonly _tag: "Stored"; readonly event: StreamEvent }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }
  /** The storage failed, and whether the event was stored is not known. */
  | { readonly _tag: "Unavailable" }

/** An event that is durable, as subscribers are told of it. */
export interface Committed {
  readonly event: StreamEvent
  readonly frame: Uint8Array | undefined
}

export interface Subscriber {
  /** Written into every event of this subscriber, which so knows its own. */
  readonly id: string
  /** Called in version order, and for every version after the one that `join` returned. Must not throw. */
  readonly deliver: (committed: Committed) => void
  /** A message to everybody else that is not stored; may be dropped. */
  readonly relay: (frame: Uint8Array) => void
}

export interface Room<State, Command, Refusal, Local> {
  readonly key: StreamKey
  readonly local: Local
  /** The state as committed, never ahead of the log. */
  readonly state: () => State
  /**
   * Decides in order of arrival; `respond` is called once, in the same order for the same origin, while `state` is the one
   * with its event.
   */
  readonly submit: (command: Command, origin: string, respond: (outcome: Outcome<Refusal>) => void) => void
  /** From now on the subscriber is told of every event; undone when the scope closes. */
  readonly subscribe: (subscriber: Subscriber) => Effect.Effect<void, never, Scope.Scope>
  /** The stream's tail, at or after the version that the room had when this was called; one read serves many. */
  readonly tail: Effect.Effect<Tail, StorageUnavailable>
  /** The same, with everything that other processes had written when this was called. */
  readonly newestTail: Effect.Effect<Tail, StorageUnavailable>
  /** Relays a frame to everybody else who is connected, to whatever process. */
  readonly relay: (frame: Uint8Array, from: Subscriber) => void
  /** Says something to the rooms of this stream on other processes; may be lost. */
  readonly tell: (message: Uint8Array) => void
  /** Takes what another process's room of this stream relayed or told. */
  readonly receive: (message: Uint8Array) => void
  /** The last version that subscribers were told of. */
  readonly version: () => number
  /** Looks whether other processes have written to the stream. */
  readonly wake: () => void
  /** Nothing decided waits for its commit. */
  readonly isIdle: () => boolean
}
