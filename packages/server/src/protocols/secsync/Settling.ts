/**
 * Time for a client to take what it was sent. It queues a document only once it has the snapshot's key, and whatever comes
 * meanwhile before it; when it has, it sends a message of its own. A client that sends none gets the rest a little later.
 */
import { type Duration, Effect } from "effect"

export interface Settling {
  /** Holds back what follows, until the client says something or was silent for so long. */
  readonly begin: (patience: Duration.Input) => void
  /** The client said something. Whether it was being given time. */
  readonly heard: () => boolean
  readonly isUnderWay: () => boolean
}

/** A client may fetch a snapshot's key from far away. */
export const PATIENCE_WITH_DOCUMENT: Duration.Input = "5 seconds"
/** What a client says, or not, to a snapshot of its own is under way already. */
export const PATIENCE_WITH_OWN_SNAPSHOT: Duration.Input = "500 millis"

export const makeSettling = (options: {
  readonly hold: () => void
  readonly release: () => void
  readonly run: (effect: Effect.Effect<void>) => void
}): Settling => {
  /** How often the client was given time to take what it was sent; 0 while it is not. */
  let underWay = 0
  let begun = 0
  return {
    begin: (patience) => {
      begun += 1
      const mine = begun
      underWay = mine
      options.hold()
      const end = Effect.sync(() => {
        if (underWay !== mine) return
        underWay = 0
        options.release()
      })
      options.run(Effect.andThen(Effect.sleep(patience), end))
    },
    heard: () => {
      const was = underWay > 0
      underWay = 0
      return was
    },
    isUnderWay: () => underWay > 0
  }
}
