import { Effect } from "effect"

/** How long work that can wait may go on, in milliseconds, before it waits for the next turn. */
export const TURN_MILLIS = 4

/** Waits for the next turn of the event loop: other work of the process goes first. */
export const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

/** The work in slices that waits for a turn, in the order of its arrival. */
const waiting: Array<() => void> = []

const giveTurn = (): void => {
  const next = waiting.shift()
  if (waiting.length > 0) setImmediate(giveTurn)
  next?.()
}

/**
 * Waits for the next turn, which it shares with no other slice: the event loop is held for as long as one slice takes, however
 * many libraries are worked on.
 */
export const nextSlice = Effect.callback<void>((resume) => {
  waiting.push(() => resume(Effect.void))
  if (waiting.length === 1) setImmediate(giveTurn)
})
