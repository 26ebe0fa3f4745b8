/**
 * Keeps the order of what one client is sent, while an answer is made in slices: everything that comes after the answer waits
 * for it. Other clients do not wait. A library makes one answer at a time, so the memory of answers in the making is that of
 * one; its pieces count as if they waited for the client.
 */
import { Effect, Latch, type Semaphore } from "effect"
import type { Steps } from "../../domain/Steps.ts"
import { inTurns } from "../../internal/inTurns.ts"
import { nextSlice } from "../../internal/nextTurn.ts"

/** Steps after which an answer is made in slices. With fewer it is sent at once: some 1,000 items, about a millisecond. */
const STEPS_AT_ONCE = 4

/** Events and answers that may wait for one answer. Above it, the connection is closed with 1013. */
export const MAX_WAITING = 10_000

export interface Answer<A extends object> {
  readonly steps: Steps<A, Uint8Array>
  readonly send: (made: A) => void
  /** Called instead of `send` when the client is gone before the answer is made. */
  readonly drop: () => void
}

export interface AnswersInOrderServices {
  readonly turn: Semaphore.Semaphore
  readonly run: (effect: Effect.Effect<void>) => void
  /** Counts a piece as one that waits for the client, until the returned function is called. */
  readonly hold: (piece: Uint8Array) => () => void
  readonly isGone: () => boolean
  /** Too much waits for an answer. */
  readonly overflow: () => void
  readonly fail: (defect: unknown) => void
}

interface Making {
  isCancelled: boolean
  readonly drop: () => void
}

export class AnswersInOrder {
  private readonly services: AnswersInOrderServices
  /** The answer that is being made. */
  private making: Making | undefined
  private waiting: Array<() => void> = []
  private readonly idle = Latch.makeUnsafe(true)

  constructor(services: AnswersInOrderServices) {
    this.services = services
  }

  get isMaking(): boolean {
    return this.making !== undefined
  }

  /** Waits until no answer is being made. */
  get settled(): Effect.Effect<void> {
    return this.idle.await
  }

  /** Calls the function now, or once the answer that is being made is sent. */
  run(action: () => void): void {
    if (this.making === undefined) return action()
    if (this.waiting.length < MAX_WAITING) this.waiting.push(action)
    else this.services.overflow()
  }

  /** Makes an answer, and sends it. Must not be called while another one is being made: see `run`. */
  answer<A extends object>(answer: Answer<A>): void {
    const { hold, run } = this.services
    const releases: Array<() => void> = []
    const keep = (piece: Uint8Array) => releases.push(hold(piece))
    const release = () => {
      for (const each of releases) each()
    }
    for (let step = 0; step < STEPS_AT_ONCE; step++) {
      const { done, value } = answer.steps.next()
      if (done === true) {
        answer.send(value)
        return release()
      }
      if (value !== undefined) keep(value)
    }
    const making = { isCancelled: false, drop: answer.drop }
    this.making = making
    this.idle.closeUnsafe()
    run(Effect.ensuring(this.makeInSlices(answer, making, keep), Effect.sync(release)))
  }

  /** The client has left: the answer is not made to its end, and nothing waits for it any more. */
  cancel(): void {
    const { making } = this
    this.end()
    if (making === undefined) return
    making.isCancelled = true
    making.drop()
  }

  private makeInSlices<A extends object>(
    { send, steps }: Answer<A>,
    making: Making,
    made: (piece: Uint8Array) => void
  ): Effect.Effect<void> {
    const { fail, isGone, turn } = this.services
    const isStopped = () => {
      if (!making.isCancelled && isGone()) {
        making.isCancelled = true
        making.drop()
      }
      return making.isCancelled
    }
    return Effect.andThen(nextSlice, inTurns(steps, { isStopped, made })).pipe(
      turn.withPermit,
      Effect.map((answer) => {
        if (answer === undefined || isStopped()) return
        this.making = undefined
        send(answer)
        this.proceed()
      }),
      Effect.catchDefect((defect) => Effect.sync(() => fail(defect))),
      Effect.ensuring(
        Effect.sync(() => {
          if (this.making === making || this.making === undefined) this.end()
        })
      )
    )
  }

  /** Does what waited, up to the next answer that takes long. */
  private proceed(): void {
    while (this.making === undefined) {
      const next = this.waiting.shift()
      if (next === undefined) return
      next()
    }
  }

  private end(): void {
    this.making = undefined
    this.waiting = []
    this.idle.openUnsafe()
  }
}
