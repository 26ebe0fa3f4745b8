/**
 * A pause in what a client is sent, so that it can take what it was sent before. The client queues a document only once it
 * has the snapshot's key, behind every frame that arrives until then. By then it also sends a frame of its own, which ends
 * the pause; if none comes, a timer does. Reasons: docs/decisions/0003-holding-back-after-a-document.md.
 */
import { type Duration, Effect, type Fiber } from "effect"
import { sleepInSteps } from "../../internal/timeouts.ts"

/** After a document with a snapshot: the client may fetch the snapshot's key from far away. */
export const PAUSE_AFTER_DOCUMENT: Duration.Input = "5 seconds"
/** After the client's own snapshot: any further snapshot of the client is already on its way. */
export const PAUSE_AFTER_OWN_SNAPSHOT: Duration.Input = "500 millis"

export interface PauseOwner {
  /** Starts to hold events back. */
  readonly hold: () => void
  /** Sends the events that were held back. */
  readonly release: () => void
}

export class DeliveryPause {
  private readonly owner: PauseOwner
  private readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Ends the pause; undefined while there is none. */
  private timer: Fiber.Fiber<void> | undefined

  constructor(owner: PauseOwner, run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.owner = owner
    this.run = run
  }

  /** Starts a pause, or starts it again. After `limit` it ends by itself, and the owner's events are released. */
  begin(limit: Duration.Input): void {
    this.end()
    this.owner.hold()
    const expire = Effect.sync(() => {
      this.timer = undefined
      this.owner.release()
    })
    this.timer = this.run(Effect.andThen(sleepInSteps(limit), expire))
  }

  /** Ends the pause and releases nothing. Returns whether there was one. */
  end(): boolean {
    const { timer } = this
    this.timer = undefined
    timer?.interruptUnsafe()
    return timer !== undefined
  }

  isActive(): boolean {
    return this.timer !== undefined
  }
}
