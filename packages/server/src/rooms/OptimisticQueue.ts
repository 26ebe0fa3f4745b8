/**
 * The order in which a room decides commands, and the state that it decides them against: a pure state machine. It calls
 * no service; it says what the room does `next`, and is told the result.
 *
 * A command waits, is decided, is committed, and is answered. The room decides against the tip: the committed state plus
 * every event that is decided and not yet durable. A commit therefore never holds up the next decision. If the commit
 * meets a conflict, then the room reads what another process wrote, and the queue has the same commands decided again.
 *
 * A refusal is held to more than an acceptance, because the log checks only events. A refusal stands once nothing decided
 * is undurable, and the log was read after the command came.
 */
import { isReadonlyArrayNonEmpty } from "effect/Array"
import { advance, place, type StreamEvent, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { type BatchLimits, takeBatch } from "../internal/takeBatch.ts"
import type { Append, PlacedEvent } from "../ports/EventLog.ts"
import type { Arrival } from "./FrameTraces.ts"
import type { Committed, Decision, Outcome } from "./RoomProtocol.ts"

/** Limits of one append. They bound how much a conflict throws away, and how long one transaction takes. */
const LIMITS: BatchLimits = { count: 500, bytes: 16 * 1024 * 1024 }
/** Conflicts of one command after which the room holds the stream still for it. */
const CONFLICTS_BEFORE_TURN = 2
/** Conflicts after which the queue gives a command up. */
const MAX_CONFLICTS = 20

/** The parts of a `RoomProtocol` that the queue needs. All are pure. If one throws, the queue is unchanged. */
export interface Rules<State, Refusal> {
  readonly evolve: (state: State, event: StreamEvent, payload: Uint8Array | null) => State
  readonly isSettled: (refusal: Refusal) => boolean
  readonly frame: (event: StreamEvent, payload: Uint8Array | null) => Uint8Array | undefined
}

/** A stream's head, and the state after the event there. */
export interface Tip<State> {
  readonly head: StreamHead
  readonly state: State
}

/** A command without an answer. */
export interface Pending<Command, Refusal> {
  readonly command: Command
  readonly origin: string
  /** The room calls this, exactly once; the queue never does. */
  readonly respond: (outcome: Outcome<Refusal>) => void
  /** When the room took the command, by the clock of the frame log and the traces. */
  readonly takenAt: number
  /** When its frame arrived; undefined: nothing is traced, or the command is the server's own. */
  readonly arrival: Arrival | undefined
  /** When the room accepted the command, by the clock of the traces. */
  decidedAt: number
  /** The number of appends with this command's event that met a conflict. */
  conflicts: number
}

/** A command with its decision, which the room may tell only after the commit. */
export type Decided<State, Command, Refusal> =
  | {
      readonly _tag: "Accepted"
      readonly pending: Pending<Command, Refusal>
      readonly placed: PlacedEvent
      readonly purgeBefore: number
      readonly purgeFrom: number
      readonly tip: Tip<State>
      /** The event with its frame; undefined if the room had no subscriber when it was decided. */
      readonly announcement: Committed | undefined
    }
  /** A refusal such as "already stored", whose reason may be an event that is not durable yet. */
  | { readonly _tag: "Settled"; readonly pending: Pending<Command, Refusal>; readonly refusal: Refusal }
  /** The rules threw. The answer waits for its turn behind the decisions before it. */
  | { readonly _tag: "Failed"; readonly pending: Pending<Command, Refusal> }

/**
 * - decide: decide the `first` command against the `tip`, then call `accept`, `refuse` or `reject`.
 * - commit: give what `takeBatch` returns to the log, then call `confirm` for each and `endCommit`, or `conflict`, or `fail`.
 * - read: call `beginRead`, `adopt` each event that the log has after `committed`, then call `endRead`, or `fail`.
 * - takeTurn: the same read and the same commit, while no other process can write.
 * - wait: nothing, until a command, a wake-up or the end of a read or commit.
 */
export type Next = "decide" | "commit" | "read" | "takeTurn" | "wait"

export class OptimisticQueue<State, Command, Refusal> {
  /** The stream as far as this process knows it to be durable. */
  committed: Tip<State>
  /** `committed`, once every event that is decided is durable. */
  tip: Tip<State>
  private readonly key: StreamKey
  private readonly rules: Rules<State, Refusal>
  private waiting: Array<Pending<Command, Refusal>> = []
  private decided: Array<Decided<State, Command, Refusal>> = []
  /** The batch whose commit is under way. */
  committing: ReadonlyArray<Decided<State, Command, Refusal>> = []
  private isReading = false
  /** The log may hold events of other processes that are not in `committed`. */
  private isStale = false
  /** The first waiting command is refused against a tip that is not durable. */
  private isHeldBack = false
  /** The number of waiting commands that came before the read under way began. */
  private present = 0
  /** The number of waiting commands, the first ones, that came before the last read began: a refusal of theirs stands. */
  private confirmed = 0

  constructor(key: StreamKey, rules: Rules<State, Refusal>, start: Tip<State>) {
    this.key = key
    this.rules = rules
    this.committed = start
    this.tip = start
  }

  next(): Next {
    if (this.isReading) return "wait"
    const isDurable = this.isDurable()
    if (this.isStale && isDurable) return this.isContended() ? "takeTurn" : "read"
    if (!this.isStale && this.waiting.length > 0 && (isDurable || !this.isHeldBack)) return "decide"
    return this.decided.length > 0 && this.committing.length === 0 ? "commit" : "wait"
  }

  /** True when every command is answered. */
  isEmpty(): boolean {
    return this.isDurable() && this.waiting.length === 0
  }

  add(
    command: Command,
    origin: string,
    respond: (outcome: Outcome<Refusal>) => void,
    takenAt = 0,
    arrival?: Arrival
  ): void {
    this.waiting.push({ command, origin, respond, takenAt, arrival, decidedAt: 0, conflicts: 0 })
  }

  /** Makes the room read the log before it decides the next command, because another process has written to it. */
  wake(): void {
    this.isStale = true
  }

  // ------------------------------------------------------------------------------------------------------- deciding

  /** The command that has waited longest. */
  first(): Pending<Command, Refusal> | undefined {
    return this.waiting[0]
  }

  /** True when the decided events fill one append. */
  isFull(): boolean {
    return this.decided.length >= LIMITS.count
  }

  /**
   * Places the first command's event after the tip, and returns it. `now`: milliseconds since 1970. `withFrame`: also makes the frame that
   * fans it out, so that an event without a frame is never stored.
   */
  accept(
    { event: decision, payload, packed, purgeBefore = 0, purgeFrom = 0 }: Decision,
    now: number,
    withFrame = false
  ): StreamEvent {
    const { head, state } = this.tip
    const event = place(this.key, head, decision, this.waiting[0]!.origin, now)
    const tip = { head: advance(head, event), state: this.rules.evolve(state, event, payload) }
    const announcement = withFrame ? { event, frame: this.rules.frame(event, payload) } : undefined
    // Nothing throws from here on.
    this.tip = tip
    const pending = this.shift()
    this.decided.push({
      _tag: "Accepted",
      pending,
      placed: packed === undefined ? { event, payload } : { event, payload, packed },
      purgeBefore,
      purgeFrom,
      tip,
      announcement
    })
    return event
  }

  /** Fails the first command, because deciding it threw. The room answers it with the next commit. */
  reject(): void {
    this.decided.push({ _tag: "Failed", pending: this.shift() })
  }

  /**
   * Takes the refusal of the first command.
   * - stands: the room answers the command now.
   * - queued: the room answers the command with the next commit.
   * - held back: the command stays first, until a commit or a read is over.
   */
  refuse(refusal: Refusal): "stands" | "queued" | "held back" {
    if (this.rules.isSettled(refusal)) {
      this.decided.push({ _tag: "Settled", pending: this.shift(), refusal })
      return "queued"
    }
    if (!this.isDurable()) {
      this.isHeldBack = true
      return "held back"
    }
    if (this.confirmed === 0) {
      // Another process may have written the event that makes this command right.
      this.isStale = true
      return "held back"
    }
    this.shift()
    return "stands"
  }

  // ----------------------------------------------------------------------------------------------------- committing

  /** Moves the oldest decisions into a commit. Empty when nothing is decided, or another commit is under way. */
  takeBatch(): ReadonlyArray<Decided<State, Command, Refusal>> {
    if (this.committing.length > 0) return []
    this.committing = takeBatch(this.decided, LIMITS, bytesOf)
    return this.committing
  }

  /** Moves `committed` on to a decision whose commit succeeded. Call this before the answer and the delivery. */
  confirm(decided: Decided<State, Command, Refusal>): void {
    if (decided._tag === "Accepted") this.committed = decided.tip
  }

  /** Call when the whole batch is answered. Until then the room begins no other commit. */
  endCommit(): void {
    this.committing = []
    this.isHeldBack = false
  }

  /**
   * Puts every decided command back, because another process has written to the stream first. Returns the commands that
   * met too many conflicts: the room answers them "Unavailable".
   */
  conflict(): ReadonlyArray<Pending<Command, Refusal>> {
    const again = [...this.committing, ...this.decided].map(({ pending }) => pending)
    for (const pending of again) pending.conflicts += 1
    this.reset([...again.filter(({ conflicts }) => conflicts <= MAX_CONFLICTS), ...this.waiting])
    return again.filter(({ conflicts }) => conflicts > MAX_CONFLICTS)
  }

  /**
   * Empties the queue, because the storage failed to read or to append. Returns every command without an answer, in their
   * order: the room answers them "Unavailable". The append may have happened, so the log is read before the next decision.
   */
  fail(): ReadonlyArray<Pending<Command, Refusal>> {
    const all = [...[...this.committing, ...this.decided].map(({ pending }) => pending), ...this.waiting]
    this.reset([])
    this.isReading = false
    return all
  }

  /** Lets go of the state, which may be large. Call when the room decides nothing any more. */
  forget(state: State): void {
    this.committed = { ...this.committed, state }
    this.tip = this.committed
  }

  // -------------------------------------------------------------------------------------------------------- reading

  beginRead(): void {
    this.isReading = true
    this.isStale = false
    this.present = this.waiting.length
  }

  /** Takes over the event that the log holds after `committed`. */
  adopt({ event, payload }: PlacedEvent): void {
    const { head, state } = this.committed
    this.committed = { head: advance(head, event), state: this.rules.evolve(state, event, payload) }
    this.tip = this.committed
  }

  /** Call when a read returned. `isComplete`: it brought everything that the log held when it began, not only a page. */
  endRead(isComplete: boolean): void {
    this.isReading = false
    if (!isComplete) this.isStale = true
    this.confirmed = this.present
  }

  /** Call within a turn when everything is read: no other process can write before the turn's own commit. */
  confirmAll(): void {
    this.isStale = false
    this.confirmed = this.waiting.length
  }

  endTurn(): void {
    this.isReading = false
  }

  // -------------------------------------------------------------------------------------------------------- private

  /** True when nothing is decided that the log does not hold. */
  private isDurable(): boolean {
    return this.decided.length === 0 && this.committing.length === 0
  }

  private isContended(): boolean {
    return this.waiting.some(({ conflicts }) => conflicts >= CONFLICTS_BEFORE_TURN)
  }

  private shift(): Pending<Command, Refusal> {
    if (this.confirmed > 0) this.confirmed -= 1
    return this.waiting.shift()!
  }

  private reset(waiting: Array<Pending<Command, Refusal>>): void {
    this.waiting = waiting
    this.decided = []
    this.committing = []
    this.confirmed = 0
    this.tip = this.committed
    this.isStale = true
    this.isHeldBack = false
  }
}

/** The append of a batch after `head`; undefined when the batch holds no event. */
export const appendOf = <State, Command, Refusal>(
  key: StreamKey,
  head: StreamHead,
  batch: ReadonlyArray<Decided<State, Command, Refusal>>
): Append | undefined => {
  const events: Array<PlacedEvent> = []
  let [purgeBefore, purgeFrom] = [0, Number.POSITIVE_INFINITY]
  for (const decided of batch) {
    if (decided._tag !== "Accepted") continue
    events.push(decided.placed)
    if (decided.purgeBefore === 0) continue
    purgeBefore = Math.max(purgeBefore, decided.purgeBefore)
    purgeFrom = Math.min(purgeFrom, decided.purgeFrom)
  }
  if (!isReadonlyArrayNonEmpty(events)) return undefined
  const expected = { expectedVersion: head.version, expectedChain: head.chain }
  return { key, ...expected, events, ...(purgeBefore > 0 && { purgeBefore, purgeFrom }) }
}

/** The answer to a command whose decision is durable. */
export const outcomeOf = <State, Command, Refusal>(decided: Decided<State, Command, Refusal>): Outcome<Refusal> => {
  switch (decided._tag) {
    case "Accepted":
      return { _tag: "Stored", event: decided.placed.event }
    case "Settled":
      return { _tag: "Refused", refusal: decided.refusal }
    case "Failed":
      return { _tag: "Failed" }
  }
}

const bytesOf = <State, Command, Refusal>(decided: Decided<State, Command, Refusal>): number =>
  decided._tag === "Accepted" ? (decided.placed.payload?.length ?? 0) : 0
