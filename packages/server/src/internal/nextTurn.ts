import { Effect } from "effect"

/** Waits for the next turn of the event loop: other work of the process goes first. */
export const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
