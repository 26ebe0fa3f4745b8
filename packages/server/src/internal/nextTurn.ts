import { Context, Effect } from "effect"

/** How long work that can wait may go on, in milliseconds, before it waits for the next turn. */
export const TURN_MILLIS = 4

/** The work in slices that waits for a turn, in the order of its arrival. */
const waiting: Array<() => void> = []

const giveTurn = (): void => {
  const next = waiting.shift()
  if (waiting.length > 0) setImmediate(giveTurn)
  next?.()
}

/** The turns of the event loop. A simulation provides turns of its own. */
export const EventLoop = Context.Reference<{
  readonly nextTurn: Effect.Effect<void>
  readonly nextSlice: Effect.Effect<void>
  /** Calls a task within this turn, once the call that is running has returned. */
  readonly soon: (task: () => void) => void
}>("@sealog/server/EventLoop", {
  defaultValue: () => ({
    nextTurn: Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void))),
    nextSlice: Effect.callback<void>((resume) => {
      waiting.push(() => resume(Effect.void))
      if (waiting.length === 1) setImmediate(giveTurn)
    }),
    soon: queueMicrotask
  })
})

/** Waits for the next turn of the event loop: other work of the process goes first. */
export const nextTurn = Effect.flatMap(EventLoop, (loop) => loop.nextTurn)

/**
 * Waits for the next turn, which it shares with no other slice: the event loop is held for as long as one slice takes, however
 * many libraries are worked on.
 */
export const nextSlice = Effect.flatMap(EventLoop, (loop) => loop.nextSlice)
