/**
 * Time for a client to take what it was sent. It queues a document only once it has the snapshot's key, and whatever comes
 * meanwhile before it; when it has, it sends a message of its own. A client that sends none gets the rest a little later.
 */
import { type Duration, Effect, type Fiber } from "effect"
import { sleepInSteps } from "../../internal/timeouts.ts"

/** A client may fetch a snapshot's key from far away. */
export const PATIENCE_WITH_DOCUMENT: Duration.Input = "5 seconds"
/** What a client says, or not, to a snapshot of its own is under way already. */
export const PATIENCE_WITH_OWN_SNAPSHOT: Duration.Input = "500 millis"

/** Whoever gives a client time. */
export interface Settler {
  /** From now on what is to be told gathers. */
  readonly hold: () => void
  /** Tells what has gathered. */
  readonly release: () => void
}

export class DeliveryPause {
  private readonly settler: Settler
  private readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** The end of the client's time; undefined while it is given none. */
  private end: Fiber.Fiber<void> | undefined

  constructor(settler: Settler, run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.settler = settler
    this.run = run
  }

  /** Holds back what follows, until the client says something or was silent for so long. */
  begin(patience: Duration.Input): void {
    this.heard()
    this.settler.hold()
    const end = Effect.sync(() => {
      this.end = undefined
      this.settler.release()
    })
    this.end = this.run(Effect.andThen(sleepInSteps(patience), end))
  }

  /** The client said something. Whether it was being given time. */
  heard(): boolean {
    const { end } = this
    this.end = undefined
    end?.interruptUnsafe()
    return end !== undefined
  }

  isUnderWay(): boolean {
    return this.end !== undefined
  }
}
