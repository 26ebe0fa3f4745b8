/** The memory of polls, in the budgets that they share with WebSockets. */
import type { Writable } from "node:stream"
import { Deferred, Effect } from "effect"
import * as Metrics from "../../metrics/Metrics.ts"
import { type ReceiveBudget, UNRESERVED_BYTES } from "../ReceiveBudget.ts"
import { Backlog, type SendBudget, UNCOUNTED_BYTES } from "../SendBudget.ts"

export interface BodyRoom {
  /** Waits for the room. */
  readonly granted: Effect.Effect<void>
  /** Gives the room back, or waits no more. A second call does nothing. */
  readonly release: () => void
}

/** Reserves room for a body. A small one needs none. */
export const roomForBody = (budget: ReceiveBudget, user: string, bytes: number): BodyRoom => {
  if (bytes <= UNRESERVED_BYTES) return { granted: Effect.void, release: () => {} }
  const granted = Deferred.makeUnsafe<void>()
  const reservation = budget.reserve({
    ...{ user, bytes },
    granted: () => Deferred.doneUnsafe(granted, Effect.void),
    // `bodyTimeout` ends a body that comes too slowly.
    tooSlow: () => {}
  })
  if (!reservation.isGranted) Metrics.framesDelayed.at({ cause: "receive_budget" }).add()
  return { granted: Deferred.await(granted), release: () => reservation.release() }
}

/** The answers to one poll, from when they are made until the client has taken them, or the connection is gone. */
export class PollAnswers {
  private readonly backlog: Backlog
  private isClosed = false

  constructor(budget: SendBudget, response: Pick<Writable, "destroy" | "once">) {
    const backlog = new Backlog(budget, () => {
      Metrics.responsesCut.at({ cause: "send_budget" }).add()
      response.destroy()
    })
    this.backlog = backlog
    response.once("close", () => {
      this.isClosed = true
      backlog.clear()
    })
  }

  /** Counts a piece of an answer in the making, until the returned function is called. */
  hold(piece: Uint8Array): () => void {
    if (this.isClosed) return () => {}
    const frame = [piece]
    this.backlog.add(frame)
    return () => this.backlog.remove(frame)
  }

  /** Counts a large answer until its client has taken it. */
  countUntilTaken(answer: ReadonlyArray<Uint8Array>): void {
    if (!this.isClosed && lengthOf(answer) > UNCOUNTED_BYTES) this.backlog.add(answer)
  }
}

export const lengthOf = (pieces: ReadonlyArray<Uint8Array>): number =>
  pieces.reduce((sum, { length }) => sum + length, 0)
