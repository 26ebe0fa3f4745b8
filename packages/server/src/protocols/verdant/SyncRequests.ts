/** The syncs that the server asks of a client, beyond those that the client makes by itself. */
import { Effect } from "effect"
import type { Client } from "./Client.ts"
import * as Wire from "./Wire.ts"

/** A client that is being reset is asked for another sync at intervals, which double up to this. */
const MAX_ASK_AGAIN_MILLIS = 1000

export class SyncRequests {
  private readonly run: (effect: Effect.Effect<void>) => void
  private readonly client: Client
  private readonly isGone: () => boolean
  private isForAllPending = false
  /** The client will be asked for another sync after a while, unless an earlier one is answered. */
  private isAskingAgain = false
  private askAgainMillis = 100

  constructor(run: (effect: Effect.Effect<void>) => void, client: Client, isGone: () => boolean) {
    this.run = run
    this.client = client
    this.isGone = isGone
  }

  /** The client was asked for all its data, and has not sent them. */
  get isAskedForAll(): boolean {
    return this.isForAllPending
  }

  /** `since`: from when on the client's sync brings its data; null: all of them. */
  received(since: string | null): void {
    if (since === null) this.isForAllPending = false
  }

  /** A sync of the client is answered, so that it need not be asked for another one. */
  answered(): void {
    this.isAskingAgain = false
  }

  /**
   * Asks the client for all its data. A store (5.5) may sync twice on one connection, and answers each request: its second
   * answer would be the sync of a client without history in a library with content, which resets the client.
   */
  forAll(): void {
    if (this.isForAllPending) return
    this.isForAllPending = true
    this.client.send(Wire.needSince(null))
  }

  /**
   * Asks a connected client for another sync, which tells whether it has stored the reset that another connection was sent.
   * A polling client polls again by itself.
   */
  again(timestamp: string): void {
    const { client } = this
    if (!client.isRealtime || this.isAskingAgain) return
    this.isAskingAgain = true
    const ask = Effect.sync(() => {
      const isPending = this.isAskingAgain && !this.isGone()
      this.isAskingAgain = false
      if (isPending) client.send(Wire.needSince(timestamp))
    })
    this.run(Effect.delay(ask, this.askAgainMillis))
    this.askAgainMillis = Math.min(2 * this.askAgainMillis, MAX_ASK_AGAIN_MILLIS)
  }
}
