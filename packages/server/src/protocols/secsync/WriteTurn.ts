/**
 * A document's writers usually just write, and the first is first. But a client whose snapshot was refused five times in
 * a row disconnects, and forgets what it wrote meanwhile until its next snapshot: so before that the others let it go
 * first. (They write within milliseconds of each other when this happens; nobody notices the wait.)
 */
import { Effect, Latch } from "effect"

export interface WriteTurn {
  /** From now on the others wait for this one, a second at most. */
  readonly reserve: (id: string) => void
  /** Has no effect for one who has no reservation. */
  readonly release: (id: string) => void
  /** Waits while somebody else goes first. */
  readonly await: (id: string) => Effect.Effect<void>
}

/** A client answers with its next snapshot at once; one that does not is not waited for. */
const PATIENCE = "1 second"

export const makeWriteTurn = (): WriteTurn => {
  const free = Latch.makeUnsafe(true)
  let first: string | undefined

  const release = (id: string): void => {
    if (first !== id) return
    first = undefined
    free.openUnsafe()
  }

  return {
    reserve: (id) => {
      first ??= id
      free.closeUnsafe()
    },
    release,
    await: (id) =>
      Effect.suspend(() => {
        const other = first
        if (other === undefined || other === id) return Effect.void
        return free.await.pipe(Effect.timeoutOption(PATIENCE), Effect.andThen(Effect.sync(() => release(other))))
      })
  }
}
