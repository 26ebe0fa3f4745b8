/** Makes a log a replica of another one, which servers refuse, and promotes it. */
import { Context, Effect, Result, Schema } from "effect"
import type { Attribution } from "../domain/Administration.ts"
import { evolve, firstEpoch, type LogEpoch, logEpochKey, toNewEvent } from "../domain/LogEpoch.ts"
import { EventLog } from "../ports/EventLog.ts"
import type { Signals } from "../ports/Signals.ts"
import { appendDecided } from "./appendDecision.ts"
import { beginEpoch, logEpoch } from "./Restored.ts"

/** The log is no replica: a server may have written to it. */
export class NotAReplica extends Schema.TaggedError<NotAReplica>()("NotAReplica", {}) {
  override get message(): string {
    return "The log is not a replica: it holds events, and servers may write to it."
  }
}

/** Makes a log a replica: servers do not start on it. Stop those that run before. Does nothing if it is one. */
export const demote = Effect.fn("demote")(function* (by: Attribution = {}) {
  yield* becomeReplica("sync-admin demote", by)
})

const becomeReplica = Effect.fnUntraced(function* (origin: string, by: Attribution) {
  const event = toNewEvent({ _tag: "LogReplicates", ...by })
  yield* appendDecided(logEpochKey, { origin }, (events) => {
    const epoch = events.reduce<LogEpoch>((epoch, { event }) => evolve(epoch, event), firstEpoch)
    return epoch.isReplica ? Result.fail("it is one" as const) : Result.succeed({ event })
  })
})

/**
 * Makes a replica writable, and marks it as `markRestored` does: clients that know more than it holds are asked for it. A process that
 * replicates into it stops. Fails if the log is no replica (`NotAReplica`).
 */
export const promote = Effect.fn("promote")((by: Attribution = {}) =>
  beginEpoch("sync-admin promote", by, ({ isReplica }) => (isReplica ? undefined : new NotAReplica()))
)

/** Makes an empty log a replica. Fails if it is neither empty nor a replica (`NotAReplica`). */
export const beginReplica = Effect.fnUntraced(function* (to: Context.Context<EventLog | Signals>) {
  const log = Context.get(to, EventLog)
  if ((yield* Effect.provideContext(logEpoch(), to)).isReplica) return
  const [found] = yield* log.streams({ limit: 1, payloads: false })
  if (found !== undefined) return yield* new NotAReplica()
  yield* Effect.provideContext(becomeReplica("sync-admin replicate", {}), to)
})

/** Fails once the log is no replica any more (`NotAReplica`). */
export const requireReplica = Effect.fnUntraced(function* (to: Context.Context<EventLog | Signals>) {
  if (!(yield* Effect.provideContext(logEpoch(), to)).isReplica) return yield* new NotAReplica()
})
