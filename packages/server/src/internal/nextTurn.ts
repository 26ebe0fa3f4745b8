import { Context, Effect } from "effect"

/** How long work that can wait may go on, in milliseconds, before it waits for the next turn. */
export const TURN_MILLIS = 4

/** The turns of the event loop. A simulation provides turns of its own. */
export const EventLoop = Context.Reference<{ readonly nextTurn: Effect.Effect<void> }>("@sealog/server/EventLoop", {
  defaultValue: () => ({
    nextTurn: Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
  })
})

/** Waits for the next turn of the event loop: other work of the process goes first. */
export const nextTurn = Effect.flatMap(EventLoop, (loop) => loop.nextTurn)
