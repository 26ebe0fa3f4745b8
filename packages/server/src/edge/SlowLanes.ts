/**
 * Shares the time of this process between users. Large messages that take long to read make the user wait before the next
 * one is read, on all connections and polls of the user together: no user gets more than a fifth of the process for them.
 * Small messages pass by.
 */
import { Effect, Semaphore } from "effect"
import * as Metrics from "../metrics/Metrics.ts"

/** Characters above which a message, or messages that are read together, take a lane. Smaller ones take a millisecond. */
const LARGE = 64 * 1024
/** Milliseconds that a large message may take without a wait, if the user sends no other. */
const QUICK_MILLIS = 10
/** The wait after a message, as a multiple of the time that it took. */
const WAIT_FACTOR = 4

/** A user's turn to have a message read. */
export interface Turn {
  /** The message was read, in so many milliseconds of this process. A second call does nothing. */
  readonly end: (millis: number) => void
}

/** For messages that take no lane. */
const noTurn: Turn = { end: () => {} }

interface Lane {
  readonly turns: Semaphore.Semaphore
  /** Messages that wait, are being read, or make the others wait. */
  messages: number
}

const delays = Metrics.framesDelayed.at({ cause: "slow_lane" })

export class SlowLanes {
  private readonly run: (effect: Effect.Effect<void>) => unknown
  private readonly lanes = new Map<string, Lane>()

  /** `run` forks an effect. */
  constructor(run: (effect: Effect.Effect<void>) => unknown) {
    this.run = run
  }

  /** Uses the user's turn for messages of `length` characters. The turn ends with `use`, if `use` does not end it before. */
  inTurn<A, E, R>(user: string, length: number, use: (turn: Turn) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    if (length <= LARGE) return use(noTurn)
    return Effect.acquireUseRelease(Effect.interruptible(this.enter(user)), use, ({ end }) => Effect.sync(() => end(0)))
  }

  private enter(user: string): Effect.Effect<Turn> {
    return Effect.suspend(() => {
      const lane = this.lanes.get(user) ?? { turns: Semaphore.makeUnsafe(1), messages: 0 }
      this.lanes.set(user, lane)
      if (lane.messages > 0) delays.add()
      lane.messages += 1
      const leave = Effect.sync(() => {
        lane.messages -= 1
        if (lane.messages === 0) this.lanes.delete(user)
      })
      return lane.turns.take(1).pipe(
        Effect.as(this.turnOf(Effect.andThen(lane.turns.release(1), leave))),
        Effect.onInterrupt(() => leave)
      )
    })
  }

  private turnOf(leave: Effect.Effect<void>): Turn {
    let hasEnded = false
    return {
      end: (millis) => {
        if (hasEnded) return
        hasEnded = true
        const wait = millis > QUICK_MILLIS ? Effect.sleep(millis * WAIT_FACTOR) : Effect.void
        this.run(Effect.andThen(wait, leave))
      }
    }
  }
}
