/**
 * The operations of a client that are not taken, because their time is too far ahead for other clients. The client keeps
 * them: acknowledgements stay before the first of them. As soon as its time has come, a connected client is asked to sync, and
 * sends them again.
 */
import { Effect } from "effect"
import { isTimely, millisUntilTimely } from "../../domain/verdant/model/Timestamp.ts"

export interface EarlyServices {
  readonly now: () => number
  readonly run: (effect: Effect.Effect<void>) => void
}

export interface EarlyOwner {
  /** The client has gone, or cannot be asked for anything. */
  readonly isGone: () => boolean
  /** Asks the client for a sync with the operations since a timestamp. */
  readonly ask: (since: string) => void
}

/** The longest sleep: a client that has gone is forgotten after it. */
const MAX_SLEEP_MILLIS = 10_000

export class EarlyOperations {
  private readonly services: EarlyServices
  private readonly owner: EarlyOwner
  /** Timestamp of the first operation that was not taken. */
  private first: string | undefined
  private isWaiting = false

  constructor(services: EarlyServices, owner: EarlyOwner) {
    this.services = services
    this.owner = owner
  }

  /** Timestamp of the first operation that was not taken; undefined: there is none. */
  get since(): string | undefined {
    return this.first
  }

  /** The client syncs: it sends everything again that was not acknowledged. */
  clear(): void {
    this.first = undefined
  }

  /** Returns the operations before the first early one. */
  take<A extends { readonly timestamp: string }>(operations: ReadonlyArray<A>): ReadonlyArray<A> {
    const now = this.services.now()
    const early = operations.findIndex(({ timestamp }) => !isTimely(timestamp, now))
    if (early === -1) return operations
    this.first ??= operations[early]!.timestamp
    this.wait()
    return operations.slice(0, early)
  }

  private wait(): void {
    if (this.isWaiting || this.owner.isGone()) return
    this.isWaiting = true
    this.services.run(
      Effect.map(this.untilTimely, () => {
        this.isWaiting = false
        if (this.first !== undefined && !this.owner.isGone()) this.owner.ask(this.first)
      })
    )
  }

  private get untilTimely(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.first === undefined || this.owner.isGone()) return Effect.void
      const millis = millisUntilTimely(this.first, this.services.now())
      if (millis <= 0) return Effect.void
      return Effect.andThen(Effect.sleep(Math.min(millis, MAX_SLEEP_MILLIS)), this.untilTimely)
    })
  }
}
