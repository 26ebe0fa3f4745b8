/**
 * Time, turns and order of a simulated world. Nothing here waits: as soon as no task is left, the clock jumps to the next
 * timer. So a minute of a server takes as long as its computing does, and a seed alone decides the order of everything.
 *
 * Effect's TestClock is not used: it takes a turn of the real event loop for each step (docs/decisions/0036).
 */

import { EventLoop } from "@sealog/server/internal/nextTurn"
import { RandomId } from "@sealog/server/internal/randomId"
import { LongWorkLine, makeLongWorkLine } from "@sealog/server/rooms/LongWorkLine"
import { Clock, Context, Duration, Effect, type Fiber, Logger, Scheduler } from "effect"
import type { Random } from "../support/random.ts"

/** Milliseconds since 1970 at which every simulation begins. */
export const BEGIN = 1_800_000_000_000

const silent: Logger.Logger<unknown, void> = Logger.make(() => {})

/** The longest time that a turn of the event loop takes, in milliseconds. */
const MAX_TURN = 2

interface Timer {
  readonly at: number
  /** Decides between timers that are due at one time. */
  readonly rank: number
  /** Undefined: it is cancelled, and keeps nothing in memory until it is due. */
  happen: (() => void) | undefined
}

export class VirtualTime {
  private readonly random: Random
  /** Whether tasks that are ready run in any order. Otherwise they run in the order of arrival, as on a real server. */
  private readonly isShuffled: boolean
  private readonly timers: Array<Timer> = []
  private ready: Array<() => void> = []
  private elapsed = 0
  /** Tasks and timers that have run. */
  steps = 0

  constructor(random: Random, isShuffled: boolean) {
    this.random = random
    this.isShuffled = isShuffled
  }

  /** Milliseconds since the beginning, with fractions. */
  now(): number {
    return this.elapsed
  }

  /** Calls `happen` after so many milliseconds. Returns a function that cancels it. */
  after(millis: number, happen: () => void): () => void {
    const timer: Timer = { at: this.elapsed + Math.max(0, millis), rank: this.random.next(2 ** 30), happen }
    push(this.timers, timer)
    return () => {
      timer.happen = undefined
    }
  }

  /** Runs the world until the condition holds. Returns false if it does not hold within so many milliseconds. */
  runUntil(holds: () => boolean, millis: number): boolean {
    const end = this.elapsed + millis
    while (!holds()) {
      if (this.ready.length > 0) this.runTask()
      else {
        const timer = this.timers[0]
        if (timer === undefined || timer.at > end) {
          this.elapsed = end
          return holds()
        }
        pop(this.timers)
        if (timer.happen === undefined) continue
        this.elapsed = timer.at
        timer.happen()
      }
      this.steps += 1
    }
    return true
  }

  private runTask(): void {
    const { ready } = this
    if (!this.isShuffled) {
      // A task that a task schedules comes in the next turn of the event loop, behind those that are ready.
      this.ready = []
      for (const task of ready) task()
      return
    }
    const chosen = this.random.next(ready.length)
    const task = ready[chosen]!
    ready[chosen] = ready[ready.length - 1]!
    ready.pop()
    task()
  }

  readonly scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
    makeDispatcher: () => ({ scheduleTask: (task) => void this.ready.push(task), flush: () => {} })
  }

  /** The clock of a machine. `ahead`: how far its time of day is ahead, in milliseconds; it may change. */
  clock(ahead: () => number): Clock.Clock {
    const millis = () => Math.floor(BEGIN + this.elapsed + ahead())
    const nanos = () => BigInt(millis()) * 1_000_000n
    const monotonic = () => BigInt(Math.floor(this.elapsed * 1e6))
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
  }

  sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback((resume) => {
      const cancel = this.after(millis, () => resume(Effect.void))
      return Effect.sync(cancel)
    })
  }

  /** Returns a function that starts effects on a machine with this clock. */
  machine(clock: Clock.Clock, logger = silent): <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E> {
    const nextTurn = Effect.suspend(() => this.sleep((1 + this.random.next(100)) * (MAX_TURN / 100)))
    const randomId = () => Array.from({ length: 12 }, () => this.random.next(36).toString(36)).join("")
    // Every effect shares this one context, so that no fiber makes its caches again.
    const context = Context.empty().pipe(
      Context.add(Logger.CurrentLoggers, new Set([logger])),
      Context.add(EventLoop, { nextTurn, nextSlice: nextTurn, soon: (task) => void this.ready.push(task) }),
      Context.add(RandomId, randomId),
      Context.add(LongWorkLine, makeLongWorkLine()),
      Context.add(Clock.Clock, clock),
      Context.add(Scheduler.Scheduler, this.scheduler)
    )
    return Effect.runForkWith(context)
  }
}

// ---- a heap of timers, the earliest first

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.rank < b.rank)

const push = (heap: Array<Timer>, timer: Timer): void => {
  let place = heap.push(timer) - 1
  while (place > 0) {
    const parent = (place - 1) >> 1
    if (!isBefore(timer, heap[parent]!)) break
    heap[place] = heap[parent]!
    place = parent
  }
  heap[place] = timer
}

const pop = (heap: Array<Timer>): void => {
  const last = heap.pop()!
  if (heap.length === 0) return
  let place = 0
  while (true) {
    let child = 2 * place + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
    if (!isBefore(heap[child]!, last)) break
    heap[place] = heap[child]!
    place = child
  }
  heap[place] = last
}
