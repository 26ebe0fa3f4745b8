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
 * - The storage fails. The room answers "Unavailable" to every command that it holds.
 */
import { Effect, Exit, Result } from "effect"
import { type StreamEvent, type StreamKey, streamName } from "../domain/Stream.ts"
import { type FrameLog, type Stage, type StageFields, since } from "../internal/FrameLog.ts"
import { onScopeClose } from "../internal/finalizers.ts"
import type { Append, Appended, EventLog, StorageUnavailable } from "../ports/EventLog.ts"
import type { Committer } from "./Committer.ts"
import { appendOf, type Decided, OptimisticQueue, outcomeOf, type Pending, type Tip } from "./OptimisticQueue.ts"
import type { Room, RoomProtocol, Subscriber } from "./RoomProtocol.ts"
import type { TailCache } from "./TailCache.ts"

/** The first byte of a message between the rooms of one stream: an ephemeral frame, or a message of the protocol. */
const [RELAYED, TOLD] = [Uint8Array.of(0), Uint8Array.of(1)] as const
/** Events that one read of what other processes wrote returns at most. */
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
    readonly frames: FrameLog
  }
): Room<State, Command, Refusal, Local> => {
  const subscribers = new Set<Subscriber>()
  const queue = new OptimisticQueue<State, Command, Refusal>(key, protocol, start)
  /** The committer will ask for the next append. */
  let isQueued = false

  const { frames } = services
  const follow = (stage: Stage, pending: Pending<Command, Refusal>, fields: StageFields): void => {
    const who = { library: key.libraryId, stream: key.streamId, session: pending.origin }
    frames.stage(stage, { ...who, ...fields, ms: since(frames, pending.takenAt) })
  }

  const local = protocol.local(start.state, key)
  const deliver = (event: StreamEvent, payload: Uint8Array | null) => {
    protocol.observe(local, event)
    if (subscribers.size === 0) return
    const announcement = { event, frame: protocol.frame(event, payload) }
    for (const subscriber of subscribers) subscriber.deliver(announcement)
    if (frames.isOn) {
      const which = { library: key.libraryId, stream: key.streamId, version: event.version, type: event.type }
      frames.stage("fanned out", { ...which, sessions: subscribers.size })
    }
  }

  /** Does what the queue says, until it has to wait. */
  const pump = (): void => {
    while (true) {
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
    const result = protocol.decide(queue.tip.state, pending.command, protocol.context(local))
    if (Result.isSuccess(result)) {
      const event = queue.accept(result.success, services.now())
      if (frames.isOn) follow("decided", pending, { version: event.version, type: event.type })
      return true
    }
    const verdict = queue.refuse(result.failure)
    if (frames.isOn && verdict !== "held back") follow("refused", pending, { rule: ruleOf(result.failure) })
    if (verdict === "stands") pending.respond({ _tag: "Refused", refusal: result.failure })
    return verdict !== "held back"
  }

  // ----------------------------------------------------------------------------------------------------- committing

  const commit = (): void => {
    if (isQueued) return services.committer.grown()
    isQueued = true
    services.committer.submit(() => {
      isQueued = false
      const append = takeAppend()
      // Without an append, no commit ends: a command that waited for it goes on now.
      if (append === undefined) pump()
      return append
    }, settle)
  }

  /** Takes the oldest decisions into a commit. Answers them and returns undefined when they need none. */
  const takeAppend = (): Append | undefined => {
    for (let batch = queue.takeBatch(); batch.length > 0; batch = queue.takeBatch()) {
      const append = appendOf(key, queue.committed.head, batch)
      if (append !== undefined) return append
      confirm(batch)
    }
    return undefined
  }

  const settle = (exit: Exit.Exit<Appended, StorageUnavailable>): void => {
    if (Exit.isFailure(exit)) {
      giveUp(queue.fail())
    } else if (exit.value._tag === "Committed") {
      confirm(queue.committing)
      services.announce(key)
    } else {
      giveUp(queue.conflict())
    }
    pump()
  }

  /** Answers a batch that is durable, and delivers its events. A session may submit its next command from its answer. */
  const confirm = (batch: ReadonlyArray<Decided<State, Command, Refusal>>): void => {
    for (const decided of batch) {
      queue.confirm(decided)
      if (frames.isOn && decided._tag === "Accepted") {
        follow("committed", decided.pending, { version: decided.placed.event.version })
      }
      decided.pending.respond(outcomeOf(decided))
      if (decided._tag === "Accepted") deliver(decided.placed.event, decided.placed.payload)
    }
    queue.endCommit()
  }

  const giveUp = (all: ReadonlyArray<Pending<Command, Refusal>>): void => {
    for (const { respond } of all) respond({ _tag: "Unavailable" })
  }

  // -------------------------------------------------------------------------------------------------------- reading

  /** Takes over a page of what other processes wrote. Returns true when the page was the last one. */
  const readPage = Effect.suspend(() =>
    services.log.read(key, { after: queue.committed.head.version, limit: READ_PAGE })
  ).pipe(
    Effect.map((events) => {
      for (const placed of events) {
        queue.adopt(placed)
        deliver(placed.event, placed.payload)
      }
      return events.length < READ_PAGE
    })
  )

  const read = (): void => {
    queue.beginRead()
    services.run(
      readPage.pipe(
        Effect.tapCause((cause) => Effect.logWarning(`Reading ${streamName(key)} failed`, cause)),
        Effect.exit,
        Effect.map((exit) => {
          if (Exit.isFailure(exit)) return giveUp(queue.fail())
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
      queue.confirmAll()
      while (!queue.isFull() && decideNext());
      const append = takeAppend()
      return append === undefined ? undefined : (yield* services.log.append([append]))[0]
    })
    services.run(
      services.log.exclusively(key, turn).pipe(
        Effect.tapCause((cause) => Effect.logWarning(`Writing to ${streamName(key)} failed`, cause)),
        Effect.exit,
        Effect.map((exit) => {
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
    submit: (command, origin, respond) => {
      queue.add(command, origin, respond, frames.now())
      pump()
    },
    subscribe: (subscriber) =>
      Effect.andThen(
        onScopeClose(() => subscribers.delete(subscriber)),
        Effect.sync(() => void subscribers.add(subscriber))
      ),
    tail: Effect.suspend(() => tailAt(queue.committed.head.version)),
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
    version: () => queue.committed.head.version,
    wake,
    isIdle: () => queue.isEmpty()
  }
}

/** The name of the rule that refused. Refusals are tagged values; a test's may be a plain text. */
const ruleOf = (refusal: unknown): string =>
  typeof refusal === "object" && refusal !== null && "_tag" in refusal ? String(refusal._tag) : String(refusal)
