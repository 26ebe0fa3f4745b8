/** Marks that a log was restored from a backup, and reads its identity. */
import { Effect, Result } from "effect"
import type { Attribution } from "../domain/Administration.ts"
import { fold, type LogEpoch, type LogEpochEvent, logEpochKey, toNewEvent } from "../domain/LogEpoch.ts"
import { EventLog } from "../ports/EventLog.ts"
import { listLibraries } from "../ports/listLibraries.ts"
import { LogIsStandby } from "../rooms/LogEpoch.ts"
import { appendDecided } from "./appendDecision.ts"

type LogRestored = Extract<LogEpochEvent, { readonly _tag: "LogRestored" }>

export interface RestoredReport {
  /** The log's epoch from now on. */
  readonly epoch: number
  /** null: no server has named the log yet. */
  readonly logId: string | null
  /** When the last event of any library was written, milliseconds since 1970; null: there is none. */
  readonly writtenUntil: number | null
  /** The libraries that the log holds: clients of any other one are asked for everything. */
  readonly libraries: number
}

/** The log's identity and epoch. */
export const logEpoch = Effect.fn("logEpoch")(function* () {
  return fold(yield* (yield* EventLog).read(logEpochKey, { after: 0, payloads: false }))
})

/**
 * Marks that the log was restored from a backup. Within seconds every server closes its clients, opens the streams as the log
 * holds them, and asks the clients that know more for what they have. Fails if the log is a standby (`LogIsStandby`).
 */
export const markRestored = Effect.fn("markRestored")((by: Attribution = {}) =>
  beginEpoch("sync-admin restored", by, ({ isStandby }) => (isStandby ? new LogIsStandby() : undefined))
)

/** Begins an epoch, unless `refusal` finds a reason not to. */
export const beginEpoch = Effect.fnUntraced(function* <Refusal>(
  origin: string,
  by: Attribution,
  refusal: (epoch: LogEpoch) => Refusal | undefined
) {
  const libraries = (yield* listLibraries()).filter(({ libraryId }) => !libraryId.startsWith("@"))
  yield* appendRestored(origin, by, refusal)
  const { logId, number } = yield* logEpoch()
  return {
    epoch: number,
    logId: logId ?? null,
    writtenUntil: libraries.length === 0 ? null : Math.max(...libraries.map(({ updatedAt }) => updatedAt)),
    libraries: libraries.length
  } satisfies RestoredReport
})

/** Appends a `LogRestored` with these fields, unless `refusal` finds a reason not to. */
export const appendRestored = Effect.fnUntraced(function* <Refusal>(
  origin: string,
  fields: Pick<LogRestored, "takesOver"> & Attribution,
  refusal: (epoch: LogEpoch) => Refusal | undefined
) {
  const event = toNewEvent({ _tag: "LogRestored", mark: crypto.randomUUID(), noticed: false, ...fields })
  const decided = yield* appendDecided(logEpochKey, { origin }, (events) => {
    const refused = refusal(fold(events))
    return refused === undefined ? Result.succeed({ event }) : Result.fail(refused)
  })
  yield* Effect.fromResult(decided)
})
