/** Makes a log a standby of another one, which servers refuse, and promotes it. */
import { Context, Effect, Result, Schema } from "effect"
import type { Attribution } from "../domain/Administration.ts"
import { fold, type LogEpoch, logEpochKey, toNewEvent } from "../domain/LogEpoch.ts"
import { EventLog } from "../ports/EventLog.ts"
import type { Signals } from "../ports/Signals.ts"
import { appendDecided } from "./appendDecision.ts"
import { appendRestored, beginEpoch, logEpoch } from "./Restored.ts"

/** The log is no standby: a server may have written to it. */
export class NotAStandby extends Schema.TaggedError<NotAStandby>()("NotAStandby", {}) {
  override get message(): string {
    return "The log is not a standby: it holds events, and servers may write to it."
  }
}

/** Makes a log a standby: servers do not start on it. Stop those that run before. Does nothing if it is one. */
export const demote = Effect.fn("demote")(function* (by: Attribution = {}) {
  yield* becomeStandby("sync-admin demote", by)
})

const becomeStandby = Effect.fnUntraced(function* (origin: string, by: Attribution) {
  const event = toNewEvent({ _tag: "LogStandsBy", ...by })
  yield* appendDecided(logEpochKey, { origin }, (events) =>
    fold(events).isStandby ? Result.fail("it is one" as const) : Result.succeed({ event })
  )
})

/**
 * Makes a standby writable, and marks it as `markRestored` does: clients that know more than it holds are asked for it. A process that
 * replicates into it stops. Fails if the log is no standby (`NotAStandby`).
 */
export const promote = Effect.fn("promote")((by: Attribution = {}) =>
  beginEpoch("sync-admin promote", by, unlessStandby)
)

const unlessStandby = ({ isStandby }: LogEpoch): NotAStandby | undefined => (isStandby ? undefined : new NotAStandby())

/**
 * Makes a standby writable that holds all of its source, which no server writes to any more. The source's epoch goes on, so that clients do
 * as after a restart.
 */
export const takeOver = Effect.fnUntraced(function* ({ number, restored }: LogEpoch, by: Attribution) {
  yield* appendRestored(
    "sync-admin replicate",
    { takesOver: { number, ...(restored && { restored }) }, ...by },
    unlessStandby
  )
})

/** Makes an empty log a standby. Fails if it is neither empty nor a standby (`NotAStandby`). */
export const beginStandby = Effect.fnUntraced(function* (to: Context.Context<EventLog | Signals>) {
  const log = Context.get(to, EventLog)
  if ((yield* Effect.provideContext(logEpoch(), to)).isStandby) return
  const [found] = yield* log.streams({ limit: 1, payloads: false })
  if (found !== undefined) return yield* new NotAStandby()
  yield* Effect.provideContext(becomeStandby("sync-admin replicate", {}), to)
})

/** Fails once the log is no standby any more (`NotAStandby`). */
export const requireStandby = Effect.fnUntraced(function* (to: Context.Context<EventLog | Signals>) {
  if (!(yield* Effect.provideContext(logEpoch(), to)).isStandby) return yield* new NotAStandby()
})
