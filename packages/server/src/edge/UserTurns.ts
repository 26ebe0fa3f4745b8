/**
 * Shares the time of this process between users. While several users send, the messages of each, from all its connections and
 * polls together, wait for their turn: a few small ones are handled at a time, and one large one. A large one that took long
 * makes the user's next large one wait, so that no user gets more than a fifth of the process for them. Messages that wait
 * have their turns in the order of their arrival. While one user alone sends, nothing waits.
 */
import { Effect } from "effect"
import * as Metrics from "../metrics/Metrics.ts"

/** Characters above which a message, or messages that have arrived together, are large. Smaller ones take a few milliseconds. */
const LARGE = 64 * 1024
/** Turns of a user at a time, for small messages. Each is for the messages of one connection that have arrived together. */
const SMALL_TURNS = 4
/** Turns of a user at a time, for large messages. */
const LARGE_TURNS = 1
/** Milliseconds that a large message may take without a wait after it. */
const QUICK_MILLIS = 10
/** The wait after a large message, as a multiple of the time that it took. */
const WAIT_FACTOR = 4
/** The longest wait, in milliseconds: a message may have taken long because the storage did. */
const LONGEST_WAIT = 10_000
/** Milliseconds for which a user counts as one who sends. */
const RECENT_MILLIS = 1000

const delays = Metrics.framesDelayed.at({ cause: "user_turn" })

interface User {
  readonly small: Turns
  readonly large: Turns
}

export class UserTurns {
  private readonly run: (effect: Effect.Effect<void>) => unknown
  private readonly now: () => number
  private readonly users = new Map<string, User>()
  /** The user of the last message, and when the one before it was from another. */
  private last = ""
  private changedAt = Number.NEGATIVE_INFINITY

  /** `run` forks an effect. `now`: milliseconds since any moment. */
  constructor(run: (effect: Effect.Effect<void>) => unknown, now: () => number = () => performance.now()) {
    this.run = run
    this.now = now
  }

  /** Handles messages of `length` characters in a turn of their user. Waits for it, unless it is interrupted. */
  inTurn<A, E, R>(user: string, length: number, handle: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.note(user)
      const { large, small } = this.userOf(user)
      return length > LARGE ? this.inLargeTurn(user, large, handle) : this.inSmallTurn(user, small, handle)
    })
  }

  /**
   * Takes a turn for small messages, if one is free, and returns the function that ends it. Undefined: the messages are large, or
   * have to wait, and `inTurn` does both.
   */
  enterNow(user: string, length: number): (() => void) | undefined {
    if (length > LARGE) return undefined
    this.note(user)
    const { small } = this.userOf(user)
    return small.tryEnter(this.isShared) ? () => this.leave(user, small) : undefined
  }

  private inSmallTurn<A, E, R>(user: string, turns: Turns, handle: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const leave = Effect.sync(() => this.leave(user, turns))
    return Effect.acquireUseRelease(
      turns.enter(this.isShared),
      () => handle,
      () => leave
    )
  }

  private inLargeTurn<A, E, R>(user: string, turns: Turns, handle: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.map(turns.enter(this.isShared), this.now),
      () => handle,
      (start) =>
        Effect.sync(() => {
          const millis = this.now() - start
          if (millis <= QUICK_MILLIS || !this.isShared) return this.leave(user, turns)
          const wait = Effect.sleep(Math.min(LONGEST_WAIT, millis * WAIT_FACTOR))
          this.run(
            Effect.ensuring(
              wait,
              Effect.sync(() => this.leave(user, turns))
            )
          )
        })
    )
  }

  private userOf(name: string): User {
    const known = this.users.get(name)
    if (known !== undefined) return known
    const user = { small: new Turns(SMALL_TURNS), large: new Turns(LARGE_TURNS) }
    this.users.set(name, user)
    return user
  }

  private note(user: string): void {
    if (user === this.last) return
    this.last = user
    this.changedAt = this.now()
  }

  /** Whether several users have sent messages a short while ago. */
  private get isShared(): boolean {
    return this.now() - this.changedAt < RECENT_MILLIS
  }

  private leave(name: string, turns: Turns): void {
    turns.leave()
    const user = this.users.get(name)
    if (user?.small.isIdle && user.large.isIdle) this.users.delete(name)
  }
}

interface Waiting {
  readonly begin: () => void
  isGone: boolean
}

/** The turns of one user for messages of one kind. */
class Turns {
  private readonly limit: number
  private readonly waiting: Array<Waiting> = []
  private taken = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get isIdle(): boolean {
    return this.taken === 0
  }

  /** Takes a turn if one is free, or if the process is not shared. */
  tryEnter(isShared: boolean): boolean {
    if (isShared && this.taken >= this.limit) return false
    this.taken += 1
    return true
  }

  /** Takes a turn, and waits until one is free. */
  enter(isShared: boolean): Effect.Effect<void> {
    if (this.tryEnter(isShared)) return Effect.void
    delays.add()
    return Effect.interruptible(this.wait)
  }

  leave(): void {
    const next = this.waiting.shift()
    if (next === undefined) this.taken -= 1
    // Before the next one's turn, messages of other users that have arrived by now are handled.
    else setImmediate(() => (next.isGone ? this.leave() : next.begin()))
  }

  private get wait(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const waiting: Waiting = { begin: () => resume(Effect.void), isGone: false }
      this.waiting.push(waiting)
      return Effect.sync(() => {
        waiting.isGone = true
      })
    })
  }
}
