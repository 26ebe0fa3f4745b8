/**
 * The live side of one stream. A room decides commands against its head, commits of its own that are still under way
 * included, so that a writer is never held up by a commit; it answers and fans out only what is durable.
 */
import { Effect, Exit, Result } from "effect"
import { isReadonlyArrayNonEmpty } from "effect/Array"
import { advance, place, type StreamEvent, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import { onScopeClose } from "../internal/finalizers.ts"
import { type BatchLimits, takeBatch } from "../internal/takeBatch.ts"
import type { Append, Appended, EventLog, PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"
import type { Committer } from "./Committer.ts"
import type { Outcome, Room, RoomProtocol, Subscriber } from "./RoomProtocol.ts"
import type { TailCache } from "./TailCache.ts"

interface Waiting<Command, Refusal> {
  readonly command: Command
  readonly origin: string
  readonly respond: (outcome: Outcome<Refusal>) => void
  /** How often the log refused the event that this was decided to be. */
  conflicts: number
}

/** Decided, not yet durable: an event, or a settled refusal whose reason is still being committed. */
interface Decided<State, Command, Refusal> {
  readonly waiting: Waiting<Command, Refusal>
  readonly result: Result.Result<Accepted<State>, Refusal>
}

interface Accepted<State> {
  readonly placed: PlacedEvent
  readonly purgeBefore: number
  readonly tip: Tip<State>
}

interface Tip<State> {
  readonly head: StreamHead
  readonly state: State
}

/** Of one append: bounds what a conflict throws away and what one transaction writes. */
const LIMITS: BatchLimits = { count: 500, bytes: 16 * 1024 * 1024 }
/** Conflicts of one command after which the stream is held still for it. */
const CONFLICTS_BEFORE_TURN = 2
/** Conflicts after which a command is given up. */
const MAX_CONFLICTS = 20
/** The first byte of what rooms of one stream send each other between processes. */
const [RELAYED, TOLD] = [Uint8Array.of(0), Uint8Array.of(1)] as const
/** Events that one read of what others wrote brings. */
const READ_PAGE = 1000

export const makeRoom = <State, Command, Refusal, Local, Context>(
  key: StreamKey,
  protocol: RoomProtocol<State, Command, Refusal, Local, Context>,
  start: Tip<State>,
  services: {
    readonly log: EventLog["Service"]
    readonly committer: Committer["Service"]
    readonly announce: (key: StreamKey) => void
    readonly broadcast: (message: Uint8Array) => void
    readonly now: () => number
    readonly run: (effect: Effect.Effect<void>) => void
    readonly tails: TailCache
  }
): Room<State, Command, Refusal, Local> => {
  const subscribers = new Set<Subscriber>()
  let committed = start
  /** What `committed` will be when everything decided is durable. */
  let tip = start
  let waiting: Array<Waiting<Command, Refusal>> = []
  let decided: Array<Decided<State, Command, Refusal>> = []
  let committing: ReadonlyArray<Decided<State, Command, Refusal>> = []
  /** The committer will ask for what was decided. */
  let isQueued = false
  /** A read of what others wrote is under way, or due as soon as nothing is being committed. */
  let reading = false
  let stale = false
  /** So many of those waiting were there when the log was last read: a refusal of theirs stands. */
  let confirmed = 0

  const isSettled = () => decided.length === 0 && committing.length === 0

  const local = protocol.local(start.state, key)
  const deliver = (event: StreamEvent, payload: Uint8Array | null) => {
    protocol.observe(local, event)
    if (subscribers.size === 0) return
    const announcement = { event, frame: protocol.frame(event, payload) }
    for (const subscriber of subscribers) subscriber.deliver(announcement)
  }

  const pump = (): void => {
    while (!reading) {
      if (stale && isSettled()) return isContended() ? takeTurn() : refresh()
      if (stale) break
      const decision = decideNext()
      if (decision === "unconfirmed") return refresh()
      if (decision === "none") break
    }
    flush()
  }

  /** Decides the command that has waited longest; "none" when there is none, or it has to wait for a commit. */
  const decideNext = (): "decided" | "unconfirmed" | "none" => {
    const next = waiting[0]
    if (next === undefined) return "none"
    const result = protocol.decide(tip.state, next.command, protocol.context(local))
    if (Result.isSuccess(result)) {
      const { payload, purgeBefore = 0 } = result.success
      const event = place(key, tip.head, result.success.event, next.origin, services.now())
      tip = { head: advance(tip.head, event), state: protocol.evolve(tip.state, event, payload) }
      decided.push({ waiting: next, result: Result.succeed({ placed: { event, payload }, purgeBefore, tip }) })
    } else if (protocol.isSettled(result.failure)) {
      decided.push({ waiting: next, result: Result.fail(result.failure) })
    } else if (!isSettled()) {
      return "none"
    } else if (confirmed === 0) {
      // A cached head may say yes, never no: another process may have written what makes this right.
      return "unconfirmed"
    }
    waiting.shift()
    const isConfirmed = confirmed > 0
    if (isConfirmed) confirmed -= 1
    // Whoever is told may at once ask for more, and is then the last of those waiting.
    if (isConfirmed && Result.isFailure(result) && !protocol.isSettled(result.failure)) {
      next.respond({ _tag: "Refused", refusal: result.failure })
    }
    return "decided"
  }

  const flush = (): void => {
    if (isQueued) return services.committer.grown()
    if (reading || committing.length > 0 || decided.length === 0) return
    isQueued = true
    services.committer.submit(() => {
      isQueued = false
      return nextAppend()
    }, settle)
  }

  /** Takes what was decided first into a commit; undefined when none of it needs one, and all of it is answered. */
  const nextAppend = (): Append | undefined => {
    while (decided.length > 0) {
      const batch = takeBatch(decided, LIMITS, bytesOf)
      const accepted = batch.flatMap(({ result }) => (Result.isSuccess(result) ? [result.success] : []))
      const events = accepted.map(({ placed }) => placed)
      if (isReadonlyArrayNonEmpty(events)) {
        committing = batch
        const purgeBefore = Math.max(...accepted.map((one) => one.purgeBefore))
        return { key, expectedVersion: committed.head.version, events, ...(purgeBefore > 0 && { purgeBefore }) }
      }
      for (const { waiting, result } of batch) respondTo(waiting, result)
    }
    return undefined
  }

  const settle = (exit: Exit.Exit<Appended, StorageUnavailable>): void => {
    // Until all of it is told, the batch counts as being committed: whoever is told may at once ask for more.
    const batch = committing
    if (Exit.isFailure(exit)) {
      committing = []
      giveUp([...batch, ...decided])
    } else if (exit.value._tag === "Committed") {
      for (const { waiting, result } of batch) {
        // What its author is answered is of the state with its event.
        if (Result.isSuccess(result)) committed = result.success.tip
        respondTo(waiting, result)
        if (Result.isSuccess(result)) deliver(result.success.placed.event, result.success.placed.payload)
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

  /** Takes over what others wrote, a page of it; how many events that was. */
  const readOn = Effect.suspend(() => services.log.read(key, { after: committed.head.version, limit: READ_PAGE })).pipe(
    Effect.map((events) => {
      for (const { event, payload } of events) {
        committed = { head: advance(committed.head, event), state: protocol.evolve(committed.state, event, payload) }
        deliver(event, payload)
      }
      tip = committed
      return events.length
    })
  )

  const refresh = (): void => {
    reading = true
    const present = waiting.length
    services.run(
      readOn.pipe(
        Effect.tapCause((cause) => Effect.logWarning(`Reading ${streamName(key)} failed`, cause)),
        Effect.exit,
        Effect.map((exit) => {
          reading = false
          if (Exit.isFailure(exit)) return giveUp([])
          stale = exit.value === READ_PAGE
          confirmed = present
          pump()
        })
      )
    )
  }

  const isContended = () => waiting.some(({ conflicts }) => conflicts >= CONFLICTS_BEFORE_TURN)

  /** Other processes write faster than this one reads and answers: they are made to wait for one commit. */
  const takeTurn = (): void => {
    reading = true
    const turn = Effect.gen(function* () {
      while ((yield* readOn) === READ_PAGE);
      stale = false
      confirmed = waiting.length
      while (decided.length < LIMITS.count && decideNext() === "decided");
      const append = nextAppend()
      return append === undefined ? undefined : (yield* services.log.append([append]))[0]
    })
    services.run(
      services.log.exclusively(key, turn).pipe(
        Effect.tapCause((cause) => Effect.logWarning(`Writing to ${streamName(key)} failed`, cause)),
        Effect.exit,
        Effect.map((exit) => {
          reading = false
          if (Exit.isSuccess(exit) && exit.value === undefined) pump()
          else settle(Exit.map(exit, (result) => result!))
        })
      )
    )
  }

  const wake = () => {
    stale = true
    pump()
  }

  const tailAt = (version: number) =>
    services.tails
      .get(key, version)
      .pipe(Effect.tap(({ head }) => Effect.sync(() => head.version > committed.head.version && wake())))

  return {
    key,
    local,
    state: () => committed.state,
    submit: (command, origin, respond) => {
      waiting.push({ command, origin, respond, conflicts: 0 })
      pump()
    },
    subscribe: (subscriber) =>
      Effect.andThen(
        onScopeClose(() => subscribers.delete(subscriber)),
        Effect.sync(() => void subscribers.add(subscriber))
      ),
    tail: Effect.suspend(() => tailAt(committed.head.version)),
    newestTail: Effect.flatMap(services.log.heads([key]), ([head]) => tailAt(head!.version)),
    relay: (frame, from) => {
      for (const subscriber of subscribers) if (subscriber !== from) subscriber.relay(frame)
      services.broadcast(Buffer.concat([RELAYED, frame]))
    },
    tell: (message) => services.broadcast(Buffer.concat([TOLD, message])),
    receive: (message) => {
      const content = message.subarray(1)
      if (message[0] === TOLD[0]) protocol.hear(local, content)
      else if (message[0] === RELAYED[0]) for (const subscriber of subscribers) subscriber.relay(content)
    },
    version: () => committed.head.version,
    wake,
    isIdle: () => isSettled() && waiting.length === 0
  }
}

const bytesOf = ({ result }: { readonly result: Result.Result<Accepted<unknown>, unknown> }): number =>
  Result.isSuccess(result) ? (result.success.placed.payload?.length ?? 0) : 0
