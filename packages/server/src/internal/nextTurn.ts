import { Effect } from "effect"

/** How long work that can wait may go on, in milliseconds, before it waits for the next turn. */
export const TURN_MILLIS = 4

/** Waits for the next turn of the event loop: other work of the process goes first. */
export const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
