/**
 * The live side of one stream. A room decides commands against its head, commits of its own that are still under way
 * included, so that a writer is never held up by a commit; it answers and fans out only what is durable.
 */
import { Effect, Exit, Result, type Scope } from "effect"
import { isReadonlyArrayNonEmpty } from "effect/Array"
import type { Committer } from "./Committer.ts"
import {
  advance,
  type NewEvent,
  place,
  type StreamEvent,
  type StreamHead,
  type StreamKey,
  streamName
} from "./domain/Stream.ts"
import type { Appended, EventLog, PlacedEvent, StorageUnavailable } from "./EventLog.ts"
import type { Tail, Tails } from "./Tails.ts"

/** What a protocol brings: its pure core, and what its connections are told. */
export interface RoomProtocol<State, Command, Refusal, Local> {
  readonly initial: (key: StreamKey) => State
  readonly decide: (state: State, command: Command) => Result.Result<NewEvent, Refusal>
  readonly evolve: (state: State, event: StreamEvent) => State
  /** A refusal that says "already done": true whatever other processes have written since. */
  readonly isSettled: (refusal: Refusal) => boolean
  /** The frame that tells other connections of an event; built once for all of them. */
  readonly frame: (event: StreamEvent, payload: Uint8Array | null) => Uint8Array | undefined
  /** State of the protocol's own that a room carries, beginning with the state that the room opens with. */
  readonly local: (state: State) => Local
  /** Tells it of every event that became durable, before any subscriber. */
  readonly observe: (local: Local, event: StreamEvent) => void
}

export interface Submission<Command> {
  readonly command: Command
  readonly payload: Uint8Array | null
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
  /** Decides in order of arrival; `respond` is called once, in the same order for the same origin. */
  readonly submit: (
    submission: Submission<Command>,
    origin: string,
    respond: (outcome: Outcome<Refusal>) => void
  ) => void
  /** From now on the subscriber is told of every event; undone when the scope closes. */
  readonly subscribe: (subscriber: Subscriber) => Effect.Effect<void, never, Scope.Scope>
  /** The stream's tail, at or after the version that the room had when this was called; one read serves many. */
  readonly tail: Effect.Effect<Tail, StorageUnavailable>
  /** Relays a frame to everybody else who is connected, to whatever process. */
  readonly relay: (frame: Uint8Array, from: Subscriber) => void
  /** Relays a frame that came from another process. */
  readonly relayFromElsewhere: (frame: Uint8Array) => void
  /** The last version that subscribers were told of. */
  readonly version: () => number
  /** Looks whether other processes have written to the stream. */
  readonly wake: () => void
  /** Nothing decided waits for its commit. */
  readonly isIdle: () => boolean
}

interface Waiting<Command, Refusal> extends Submission<Command> {
  readonly origin: string
  readonly respond: (outcome: Outcome<Refusal>) => void
  /** How often the log refused the event that this was decided to be. */
  conflicts: number
}

/** Decided, not yet durable: an event, or a settled refusal whose reason is still being committed. */
interface Decided<State, Command, Refusal> {
  readonly waiting: Waiting<Command, Refusal>
  readonly result: Result.Result<{ readonly placed: PlacedEvent; readonly tip: Tip<State> }, Refusal>
}

interface Tip<State> {
  readonly head: StreamHead
  readonly state: State
}

/** Events of one append: bounds what a conflict throws away and what one transaction writes. */
const MAX_EVENTS = 500
/** Conflicts after which a command is given up: the stream is written faster elsewhere than this process reads it. */
const MAX_CONFLICTS = 20
/** Events that one read of what others wrote brings. */
const READ_PAGE = 1000
export const makeRoom = <State, Command, Refusal, Local>(
  key: StreamKey,
  protocol: RoomProtocol<State, Command, Refusal, Local>,
  start: Tip<State>,
  services: {
    readonly log: EventLog["Service"]
    readonly committer: Committer["Service"]
    readonly announce: (key: StreamKey) => void
    readonly broadcast: (frame: Uint8Array) => void
    readonly now: () => number
    readonly run: (effect: Effect.Effect<void>) => void
    readonly tails: Tails
  }
): Room<State, Command, Refusal, Local> => {
  const subscribers = new Set<Subscriber>()
  let committed = start
  /** What `committed` will be when everything decided is durable. */
  let tip = start
  let waiting: Array<Waiting<Command, Refusal>> = []
  let decided: Array<Decided<State, Command, Refusal>> = []
  let committing: ReadonlyArray<Decided<State, Command, Refusal>> = []
  /** A read of what others wrote is under way, or due as soon as nothing is being committed. */
  let reading = false
  let stale = false
  /** So many of those waiting were there when the log was last read: a refusal of theirs stands. */
  let confirmed = 0

  const isSettled = () => decided.length === 0 && committing.length === 0

  const local = protocol.local(start.state)
  const deliver = (event: StreamEvent, payload: Uint8Array | null) => {
    protocol.observe(local, event)
    if (subscribers.size === 0) return
    const announcement = { event, frame: protocol.frame(event, payload) }
    for (const subscriber of subscribers) subscriber.deliver(announcement)
  }

  const pump = (): void => {
    while (!reading) {
      if (stale && isSettled()) return refresh()
      const next = waiting[0]
      if (next === undefined || stale) break
      const result = protocol.decide(tip.state, next.command)
      if (Result.isSuccess(result)) {
        const event = place(key, tip.head, result.success, next.origin, services.now())
        tip = { head: advance(tip.head, event), state: protocol.evolve(tip.state, event) }
        decided.push({ waiting: next, result: Result.succeed({ placed: { event, payload: next.payload }, tip }) })
      } else if (protocol.isSettled(result.failure)) {
        decided.push({ waiting: next, result: Result.fail(result.failure) })
      } else if (!isSettled()) {
        break
      } else if (confirmed > 0) {
        next.respond({ _tag: "Refused", refusal: result.failure })
      } else {
        // A cached head may say yes, never no: another process may have written what makes this right.
        return refresh()
      }
      waiting.shift()
      if (confirmed > 0) confirmed -= 1
    }
    flush()
  }

  const flush = (): void => {
    while (committing.length === 0 && decided.length > 0) {
      const batch = decided.splice(0, MAX_EVENTS)
      const events = batch.flatMap(({ result }) => (Result.isSuccess(result) ? [result.success.placed] : []))
      if (isReadonlyArrayNonEmpty(events)) {
        committing = batch
        services.committer.submit({ key, expectedVersion: committed.head.version, events }, settle)
      } else {
        for (const { waiting, result } of batch) respondTo(waiting, result)
      }
    }
  }

  const settle = (exit: Exit.Exit<Appended, StorageUnavailable>): void => {
    // Until all of it is told, the batch counts as being committed: whoever is told may at once ask for more.
    const batch = committing
    if (Exit.isFailure(exit)) {
      committing = []
      giveUp([...batch, ...decided])
    } else if (exit.value._tag === "Committed") {
      for (const { waiting, result } of batch) {
        respondTo(waiting, result)
        if (Result.isSuccess(result)) {
          const { placed, tip } = result.success
          committed = tip
          deliver(placed.event, placed.payload)
        }
      }
      committing = []
      services.announce(key)
      flush()
    } else {
      // Another process was faster: read what it wrote, then decide again.
      const again = [...batch, ...decided].map(({ waiting }) => waiting)
      for (const item of again) item.conflicts += 1
      waiting = [...again.filter((item) => item.conflicts <= MAX_CONFLICTS), ...waiting]
      committing = []
      decided = []
      confirmed = 0
      tip = committed
      stale = true
      for (const item of again) if (item.conflicts > MAX_CONFLICTS) item.respond({ _tag: "Unavailable" })
    }
    pump()
  }

  const respondTo = (
    { respond }: Waiting<Command, Refusal>,
    result: Decided<State, Command, Refusal>["result"]
  ): void =>
    respond(
      Result.isSuccess(result)
        ? { _tag: "Stored", event: result.success.placed.event }
        : { _tag: "Refused", refusal: result.failure }
    )

  /** The storage failed. What is waiting is told so; what others may have written is read before the next decision. */
  const giveUp = (undone: ReadonlyArray<Decided<State, Command, Refusal>>): void => {
    const all = [...undone.map(({ waiting }) => waiting), ...waiting]
    decided = []
    waiting = []
    confirmed = 0
    tip = committed
    stale = true
    for (const { respond } of all) respond({ _tag: "Unavailable" })
  }

  const refresh = (): void => {
    reading = true
    const present = waiting.length
    services.run(
      services.log.read(key, { after: committed.head.version, limit: READ_PAGE }).pipe(
        Effect.map((events) => {
          for (const { event, payload } of events) {
            committed = { head: advance(committed.head, event), state: protocol.evolve(committed.state, event) }
            deliver(event, payload)
          }
          return events.length
        }),
        Effect.tapCause((cause) => Effect.logWarning(`Reading ${streamName(key)} failed`, cause)),
        Effect.exit,
        Effect.map((exit) => {
          reading = false
          if (Exit.isFailure(exit)) return giveUp([])
          tip = committed
          stale = exit.value === READ_PAGE
          confirmed = present
          pump()
        })
      )
    )
  }

  const wake = () => {
    stale = true
    pump()
  }

  return {
    key,
    local,
    state: () => committed.state,
    submit: (submission, origin, respond) => {
      waiting.push({ ...submission, origin, respond, conflicts: 0 })
      pump()
    },
    subscribe: (subscriber) =>
      Effect.acquireRelease(
        Effect.sync(() => void subscribers.add(subscriber)),
        () => Effect.sync(() => void subscribers.delete(subscriber))
      ),
    tail: Effect.suspend(() => services.tails.get(key, committed.head.version)).pipe(
      Effect.tap(({ head }) => Effect.sync(() => head.version > committed.head.version && wake()))
    ),
    relay: (frame, from) => {
      for (const subscriber of subscribers) if (subscriber !== from) subscriber.relay(frame)
      services.broadcast(frame)
    },
    relayFromElsewhere: (frame) => {
      for (const subscriber of subscribers) subscriber.relay(frame)
    },
    version: () => committed.head.version,
    wake,
    isIdle: () => isSettled() && waiting.length === 0
  }
}
