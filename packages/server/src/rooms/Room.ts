/**
 * The live side of one stream in this process: it decides commands, stores their events, and fans them out.
 *
 * The life of a command:
 * 1. A session submits it, and it waits in the `OptimisticQueue` behind the commands that came before it.
 * 2. The protocol decides it against the tip, which includes events that are decided and not yet durable. A writer
 *    therefore never waits for a commit before its next command is decided.
 * 3. The `Committer` asks the room for its next append when a transaction begins. The append holds every event that was
 *    decided until then, and the version that the log must have.
 * 4. Once the append is durable, the room answers each command and delivers its event to every subscriber.
 *
 * The ways that differ from this one:
 * - The protocol refuses the command. The room first reads what other processes wrote, and decides once more.
 * - The append conflicts, because another process was faster. The room reads on, and decides the commands again. If that
 *   happens often, then the room takes a turn: it holds the stream still while it reads, decides and appends.
 * - The storage is not available. The room answers "Unavailable" to every command that it holds.
 * - The log is damaged. The room is dropped, as after a defect.
 *
 * A defect harms as little as possible. If the rules throw for a command, then only that command and its session fail. If
 * a subscriber throws, then only its session fails. If the room's own state is in doubt, because an event in the log cannot
 * be applied or observed, then the room is dropped: everything that it holds fails, and the stream opens in a new room.
 *
 * The log may be restored from a backup while the room is open. The room notices when it appends or reads, and when `Rooms`
 * compares the heads: then it ends, answers nothing that it holds, and its clients come back to a room of the log as it is.
 */
import { Cause, Effect, Exit, Predicate, Result } from "effect"
import { chainOf, EVICTED, type StreamEvent, type StreamHead, type StreamKey, streamName } from "../domain/Stream.ts"
import { type FrameLog, type Stage, type StageFields, since } from "../internal/FrameLog.ts"
import { onScopeClose } from "../internal/finalizers.ts"
import { nextTurn, TURN_MILLIS } from "../internal/nextTurn.ts"
import type { Counter, Histogram } from "../metrics/Family.ts"
import * as Metrics from "../metrics/Metrics.ts"
import type { Append, Appended, EventLog, PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"
import type { Committer } from "./Committer.ts"
import type { FrameTraces } from "./FrameTraces.ts"
import { isBehind } from "./isBehind.ts"
import { inLine } from "./LongWorkLine.ts"
import { appendOf, type Decided, OptimisticQueue, outcomeOf, type Pending, type Tip } from "./OptimisticQueue.ts"
import type { Committed, FailReason, Outcome, Room, RoomProtocol, Subscriber } from "./RoomProtocol.ts"
import type { ReadHeads } from "./SharedHeads.ts"
import type { TailCache } from "./TailCache.ts"

/** The first byte of a message between the rooms of one stream: an ephemeral frame, or a message of the protocol. */
const [RELAYED, TOLD] = [Uint8Array.of(0), Uint8Array.of(1)] as const
/** The series of a protocol's rooms. */
export interface RoomMetrics {
  readonly protocol: Metrics.ProtocolName
  readonly conflicts: Counter
  readonly fanOut: Histogram
  readonly signalLag: Histogram
}

export const roomMetricsOf = (protocol: Metrics.ProtocolName): RoomMetrics => ({
  protocol,
  conflicts: Metrics.conflicts.at({ protocol }),
  fanOut: Metrics.fanOutSeconds.at({ protocol }),
  signalLag: Metrics.signalLagSeconds.at({ protocol })
})

/** Events that one read of what other processes wrote returns at most. */
const READ_PAGE = 1000

export const makeRoom = <State, Command, Refusal, Local, Context>(
  key: StreamKey,
  protocol: RoomProtocol<State, Command, Refusal, Local, Context>,
  start: Tip<State> & { readonly isEvicted: boolean },
  services: {
    readonly log: EventLog["Service"]
    /** Reads heads together with other rooms. */
    readonly heads: ReadHeads
    readonly committer: Committer["Service"]
    readonly announce: (key: StreamKey) => void
    readonly broadcast: (message: Uint8Array) => void
    readonly now: () => number
    /** Milliseconds of a clock that never goes back. */
    readonly elapsed: () => number
    readonly run: (effect: Effect.Effect<void>) => void
    readonly tails: TailCache
    readonly frames: FrameLog
    readonly traces: FrameTraces
    readonly metrics: RoomMetrics
    /** The room is dropped: it must not be found any more. */
    readonly dropped: () => void
    /** The log holds less of the stream than the room, or another history. */
    readonly wentBack: (known: StreamHead, found: StreamHead) => void
  }
): Room<State, Command, Refusal, Local> => {
  const subscribers = new Set<Subscriber>()
  const queue = new OptimisticQueue<State, Command, Refusal>(key, protocol, start)
  /** The committer will ask for the next append. */
  let isQueued = false
  /** When a command was last answered, when the first one came, or when the room last read on; the latest of them. */
  let movedAt = 0
  /** The commands of the batch under confirmation that are answered. */
  let confirmed = 0
  let isDropped = false
  /** Why it was dropped: a session or a command that comes too late hears the same as the others. */
  let droppedFor: FailReason = "defect"
  let isEvicted = start.isEvicted

  /** When the transaction that is under way took the room's append, and when the read that is under way began; for traces. */
  let [committingAt, readingAt] = [0, 0]

  const { frames, metrics, traces } = services
  const follow = (stage: Stage, pending: Pending<Command, Refusal>, fields: StageFields): void => {
    const who = { library: key.libraryId, stream: key.streamId, session: pending.origin }
    frames.stage(stage, { ...who, ...fields, ms: since(frames, pending.takenAt) })
  }

  const local = protocol.local(start.state, key, start.head.version)
  /** A line for an eviction, and for the first event that brings an evicted stream back. */
  const logEviction = ({ type, version }: StreamEvent): void => {
    isEvicted = type === EVICTED
    const line = Effect.logInfo(isEvicted ? "stream evicted" : "stream restored")
    services.run(Effect.annotateLogs(line, { library: key.libraryId, stream: key.streamId, version, type }))
  }

  const deliver = (event: StreamEvent, payload: Uint8Array | null, announcement?: Committed) => {
    if (event.type === EVICTED || (isEvicted && brings(event))) logEviction(event)
    try {
      protocol.observe(local, event, payload)
    } catch (defect) {
      return drop(`Observing ${nameOf(event)}`, defect)
    }
    if (subscribers.size === 0) return
    try {
      announcement ??= { event, frame: protocol.frame(event, payload) }
    } catch (defect) {
      // The event is durable, so its subscribers would miss it. They read it when they come back.
      report(`Making the frame of ${nameOf(event)}`, defect)
      return failSubscribers("defect")
    }
    for (const subscriber of subscribers) {
      try {
        subscriber.deliver(announcement)
      } catch (defect) {
        report(`Delivering ${nameOf(event)} to a session`, defect)
        failSubscriber(subscriber)
      }
    }
    if (frames.isOn) {
      const which = { library: key.libraryId, stream: key.streamId, version: event.version, type: event.type }
      frames.stage("fanned out", { ...which, sessions: subscribers.size })
    }
  }

  const relay = (frame: Uint8Array, from: Subscriber | undefined): void => {
    for (const subscriber of subscribers) {
      if (subscriber === from) continue
      try {
        subscriber.relay(frame)
      } catch (defect) {
        report("Relaying a message to a session", defect)
        failSubscriber(subscriber)
      }
    }
  }

  /** Does what the queue says, until it has to wait. Never throws. */
  const pump = (): void => {
    try {
      proceed()
    } catch (defect) {
      drop("Deciding or committing", defect)
    }
  }

  const proceed = (): void => {
    while (!isDropped) {
      switch (queue.next()) {
        case "decide":
          decideNext()
          break
        case "commit":
          return commit()
        case "read":
          return read()
        case "takeTurn":
          return takeTurn()
        case "wait":
          return
      }
    }
  }

  /** Returns false when no command waits, or the first one cannot be decided yet. */
  const decideNext = (): boolean => {
    const pending = queue.first()
    if (pending === undefined) return false
    let refusal: Refusal
    let verdict: ReturnType<typeof queue.refuse>
    try {
      const result = protocol.decide(queue.tip.state, pending.command, protocol.context(local))
      if (Result.isSuccess(result)) {
        const event = queue.accept(result.success, services.now(), subscribers.size > 0)
        if (traces.isOn) pending.decidedAt = traces.now()
        if (frames.isOn) follow("decided", pending, { version: event.version, type: event.type })
        return true
      }
      refusal = result.failure
      verdict = queue.refuse(refusal)
    } catch (defect) {
      report(`Deciding ${tagOf(pending.command)}`, defect)
      queue.reject()
      if (frames.isOn) follow("refused", pending, { rule: "Defect" })
      return true
    }
    if (verdict !== "held back") {
      const rule = tagOf(refusal)
      Metrics.refusals.at({ protocol: metrics.protocol, rule }).add()
      if (frames.isOn) follow("refused", pending, { rule })
    }
    if (verdict === "stands") {
      movedAt = services.now()
      answer(pending, { _tag: "Refused", refusal })
    }
    return verdict !== "held back"
  }

  const answer = (
    pending: Pick<Pending<Command, Refusal>, "command" | "origin" | "respond">,
    outcome: Outcome<Refusal>
  ): void => {
    try {
      pending.respond(outcome)
    } catch (defect) {
      report(`Answering ${tagOf(pending.command)}`, defect)
      for (const subscriber of subscribers) if (subscriber.id === pending.origin) failSubscriber(subscriber)
    }
  }

  // ----------------------------------------------------------------------------------------------------- committing

  const commit = (): void => {
    if (isQueued) return services.committer.grown()
    isQueued = true
    services.committer.submit(() => {
      isQueued = false
      if (isDropped) return undefined
      const append = takeAppend()
      // Without an append, no commit ends: a command that waited for it goes on now.
      if (append === undefined) pump()
      return append
    }, settle)
  }

  /** Takes the oldest decisions into a commit. Answers them and returns undefined when they need none. */
  const takeAppend = (): Append | undefined => {
    if (traces.isOn) committingAt = traces.now()
    for (let batch = queue.takeBatch(); batch.length > 0; batch = queue.takeBatch()) {
      const append = appendOf(key, queue.committed.head, batch)
      if (append !== undefined) return append
      confirm(batch)
    }
    return undefined
  }

  const settle = (exit: Exit.Exit<Appended, StorageUnavailable>): void => {
    if (isDropped) return
    try {
      if (Exit.isFailure(exit)) {
        if (Cause.hasDies(exit.cause)) return drop("Committing", Cause.squash(exit.cause))
        giveUp(queue.fail())
      } else if (exit.value._tag === "Committed") {
        confirm(queue.committing)
        services.announce(key)
      } else {
        metrics.conflicts.add()
        const { head } = queue.committed
        // The log never ends before the head of a room, and never at the same version without the same chain.
        if (exit.value._tag === "Conflict" && head.version > 0 && exit.value.actualVersion <= head.version) {
          return leaveLog({ ...head, version: exit.value.actualVersion })
        }
        giveUp(queue.conflict())
      }
    } catch (defect) {
      return drop("Ending a commit", defect)
    }
    pump()
  }

  /** Answers a batch that is durable, and delivers its events. A session may submit its next command from its answer. */
  const confirm = (batch: ReadonlyArray<Decided<State, Command, Refusal>>): void => {
    movedAt = services.now()
    const durableAt = traces.isOn ? traces.now() : 0
    for (const decided of batch) {
      queue.confirm(decided)
      confirmed += 1
      if (frames.isOn && decided._tag === "Accepted") {
        follow("committed", decided.pending, { version: decided.placed.event.version })
      }
      answer(decided.pending, outcomeOf(decided))
      if (decided._tag === "Accepted") deliver(decided.placed.event, decided.placed.payload, decided.announcement)
      if (isDropped) return
      if (traces.isOn) trace(decided, durableAt)
    }
    confirmed = 0
    observeFanOut(batch)
    queue.endCommit()
  }

  const trace = (decided: Decided<State, Command, Refusal>, durableAt: number): void => {
    if (decided._tag !== "Accepted" || !traces.samples(decided.placed.event)) return
    const { arrival, decidedAt, takenAt } = decided.pending
    const sessions = subscribers.size
    traces.stored(key, decided.placed.event, { arrival, takenAt, decidedAt, committingAt, durableAt, sessions })
  }

  const observeFanOut = (batch: ReadonlyArray<Decided<State, Command, Refusal>>): void => {
    const first = batch.find((decided) => decided._tag === "Accepted")
    if (first !== undefined) metrics.fanOut.observe(secondsSince(first.placed.event))
  }

  /** By the clock of the event's writer, which may be another machine's. */
  const secondsSince = ({ recordedAt }: StreamEvent): number => Math.max(0, services.now() - recordedAt) / 1000

  const giveUp = (all: ReadonlyArray<Pending<Command, Refusal>>): void => {
    if (all.length > 0) movedAt = services.now()
    for (const pending of all) answer(pending, { _tag: "Unavailable" })
  }

  // -------------------------------------------------------------------------------------------------------- defects

  const report = (what: string, defect: unknown): void => {
    Metrics.defects.at({}).add()
    services.run(Effect.logError(`${what} failed in ${streamName(key)}`, Cause.die(defect)))
  }

  const failSubscriber = (subscriber: Subscriber, why: FailReason = "defect"): void => {
    subscribers.delete(subscriber)
    try {
      subscriber.fail(why)
    } catch (defect) {
      report("Ending a session", defect)
    }
  }

  const failSubscribers = (why: FailReason): void => {
    for (const subscriber of subscribers) failSubscriber(subscriber, why)
  }

  /** Ends the room, because its state is in doubt. Everything that it holds fails. */
  const drop = (what: string, defect: unknown): void => {
    if (isDropped) return
    report(`${what}, and so the room,`, defect)
    end("defect", "Failed")
  }

  /** Ends the sessions, and answers everything that the room holds. The stream opens in a new room. */
  const end = (why: FailReason, outcome: "Failed" | "Unavailable"): void => {
    isDropped = true
    droppedFor = why
    const unanswered = queue.fail().slice(confirmed)
    if (why !== "defect") services.tails.forget(key)
    services.dropped()
    failSubscribers(why)
    for (const pending of unanswered) answer(pending, { _tag: outcome })
  }

  /** Ends the room, because the log was restored. Its commands are not answered: clients send them again. */
  const leaveLog = (found?: StreamHead): void => {
    if (isDropped) return
    end("restored", "Unavailable")
    if (found !== undefined) services.wentBack(queue.committed.head, found)
  }

  const giveWay = (): void => {
    if (isDropped) return
    end("memory", "Unavailable")
    // Its sessions hold the room until their clients have closed.
    queue.forget(protocol.initial(key))
  }

  // -------------------------------------------------------------------------------------------------------- reading

  /** Takes over a page of what other processes wrote. Returns true when the page was the last one. */
  const readPage = Effect.gen(function* () {
    const { head } = queue.committed
    if (traces.isOn) readingAt = traces.now()
    const events = yield* services.log.read(key, { after: head.version, limit: READ_PAGE })
    if (isDropped) return true
    if (!(yield* continues(head, events[0]?.event))) return true
    if (protocol.readsPayloads && events.some(isPurged)) {
      // Another process has written a checkpoint since, from which the next room reads.
      yield* Effect.logInfo(`${streamName(key)} was purged before this process read it, and is opened again`)
      end("behind", "Unavailable")
      return true
    }
    if (events[0] !== undefined) metrics.signalLag.observe(secondsSince(events[0].event))
    let begun = services.elapsed()
    for (const placed of events) {
      const long = protocol.prepare?.(queue.committed.state, placed.event, placed.payload)
      if (long !== undefined) yield* inLine(long, { isStopped: () => isDropped })
      if (isDropped) return true
      adopt(placed)
      if (isDropped) return true
      if (services.elapsed() - begun < TURN_MILLIS) continue
      yield* nextTurn
      if (isDropped) return true
      begun = services.elapsed()
    }
    movedAt = services.now()
    return events.length < READ_PAGE
  })

  /** Whether the log goes on from a head that the room has. If it does not, the room ends. `next`: the event after it. */
  const continues = Effect.fnUntraced(function* (head: StreamHead, next: StreamEvent | undefined) {
    if (next !== undefined && next.version === head.version + 1 && next.chain === chainOf(key, head.chain, next))
      return true
    if (next === undefined && head.version === 0) return true
    const [found] = yield* services.log.heads([key])
    if (next === undefined && !isBehind(found!, head)) return true
    leaveLog(found)
    return false
  })

  const adopt = (placed: PlacedEvent): void => {
    try {
      queue.adopt(placed)
    } catch (defect) {
      return drop(`Applying ${nameOf(placed.event)}`, defect)
    }
    deliver(placed.event, placed.payload)
    if (traces.isOn && subscribers.size > 0 && traces.samples(placed.event)) {
      traces.heard(key, placed.event, readingAt, subscribers.size)
    }
  }

  const read = (): void => {
    queue.beginRead()
    services.run(
      readPage.pipe(
        Effect.tapError((error) => Effect.logWarning(`Reading ${streamName(key)} failed`, error)),
        Effect.exit,
        Effect.map((exit) => {
          if (isDropped) return
          if (Exit.isFailure(exit)) {
            return Cause.hasDies(exit.cause) ? drop("Reading", Cause.squash(exit.cause)) : giveUp(queue.fail())
          }
          queue.endRead(exit.value)
          pump()
        })
      )
    )
  }

  /** Reads, decides and commits while the log lets no other process write, because the others are too fast otherwise. */
  const takeTurn = (): void => {
    queue.beginRead()
    const turn = Effect.gen(function* () {
      while (!(yield* readPage));
      if (isDropped) return undefined
      queue.confirmAll()
      while (!queue.isFull() && decideNext());
      const append = takeAppend()
      return append === undefined ? undefined : (yield* services.log.append([append]))[0]
    })
    services.run(
      services.log.exclusively(key, turn).pipe(
        Effect.tapError((error) => Effect.logWarning(`Writing to ${streamName(key)} failed`, error)),
        Effect.exit,
        Effect.map((exit) => {
          if (isDropped) return
          queue.endTurn()
          if (Exit.isSuccess(exit) && exit.value === undefined) pump()
          else settle(Exit.map(exit, (result) => result!))
        })
      )
    )
  }

  const wake = () => {
    queue.wake()
    pump()
  }

  const tailAt = (version: number) =>
    services.tails
      .get(key, version)
      .pipe(Effect.tap(({ head }) => Effect.sync(() => head.version > queue.committed.head.version && wake())))

  return {
    key,
    local,
    state: () => queue.committed.state,
    submit: (command, origin, respond, arrival) => {
      if (isDropped) {
        return answer({ command, origin, respond }, { _tag: droppedFor === "defect" ? "Failed" : "Unavailable" })
      }
      if (queue.isEmpty()) movedAt = services.now()
      queue.add(command, origin, respond, traces.isOn ? traces.now() : frames.now(), arrival)
      pump()
    },
    subscribe: (subscriber) =>
      Effect.andThen(
        onScopeClose(() => subscribers.delete(subscriber)),
        Effect.sync(() => (isDropped ? failSubscriber(subscriber, droppedFor) : void subscribers.add(subscriber)))
      ),
    tail: Effect.suspend(() => tailAt(queue.committed.head.version)),
    newestTail: Effect.flatMap(services.heads([key]), ([head]) => tailAt(head!.version)),
    relay: (frame, from) => {
      relay(frame, from)
      services.broadcast(Buffer.concat([RELAYED, frame]))
    },
    tell: (message) => services.broadcast(Buffer.concat([TOLD, message])),
    receive: (message) => {
      const content = message.subarray(1)
      try {
        if (message[0] === RELAYED[0] && (protocol.relays?.(local, content) ?? true)) relay(content, undefined)
        if (message[0] === TOLD[0]) protocol.hear(local, content)
      } catch (defect) {
        report("Taking a message of another process", defect)
      }
    },
    head: () => queue.committed.head,
    version: () => queue.committed.head.version,
    wake,
    isIdle: () => queue.isEmpty(),
    waitingSince: () => (queue.isEmpty() ? undefined : movedAt),
    leaveLog,
    hasSubscribers: () => subscribers.size > 0,
    giveWay,
    isDropped: () => isDropped
  }
}

/** Whether an event of an evicted stream brings content, or begins to: a snapshot, or the request for a replica's data. */
const brings = ({ checkpoint, type }: StreamEvent): boolean => checkpoint || type === "RestoreLeased"

const isPurged = ({ event, payload }: PlacedEvent): boolean => payload === null && event.payloadHash !== ""

const nameOf = ({ type, version }: StreamEvent): string => `${type} ${version}`

/** The `_tag` of a command or refusal; a command's content belongs to a client and is not logged. */
const tagOf = (tagged: unknown): string => (Predicate.hasProperty(tagged, "_tag") ? String(tagged._tag) : "a command")
