/**
 * Follows frames through the server: one log line per stage, so that an operator can see where a frame is and how long it
 * took to get there. Lines of frames that write are `Debug`; those of frames that are never stored are `Trace`.
 */
import { Effect } from "effect"
import { logThreshold } from "./LogThreshold.ts"

/** The stages of a frame that writes, in their order. A refused frame ends with `refused`. */
export type Stage = "received" | "verified" | "decided" | "refused" | "committed" | "acknowledged" | "fanned out"

/** The facts of one line, for example the stream, the session, the event's version and milliseconds. */
export type StageFields = Readonly<Record<string, string | number | undefined>>

export interface FrameLog {
  /** Whether `stage` writes anything. Callers look at it first, so that a server that does not log builds no fields. */
  readonly isOn: boolean
  /** Whether frames that are never stored are followed too: heartbeats, presence, ephemeral messages. */
  readonly isTracing: boolean
  /** Milliseconds of a monotonic clock, for the duration of a stage. 0 when the log is off. */
  readonly now: () => number
  readonly stage: (stage: Stage, fields: StageFields) => void
  /** The line of a frame that is never stored. */
  readonly trace: (stage: Stage, fields: StageFields) => void
}

export const makeFrameLog: Effect.Effect<FrameLog> = Effect.gen(function* () {
  const threshold = yield* logThreshold
  const run = Effect.runSyncWith(yield* Effect.context<never>())
  const write = (line: Effect.Effect<void>, fields: StageFields) => run(Effect.annotateLogs(line, known(fields)))
  return {
    get isOn() {
      return threshold.isDebug
    },
    get isTracing() {
      return threshold.isTrace
    },
    now: () => (threshold.isDebug ? performance.now() : 0),
    stage: (stage, fields) => {
      if (threshold.isDebug) write(Effect.logDebug(`frame ${stage}`), fields)
    },
    trace: (stage, fields) => {
      if (threshold.isTrace) write(Effect.logTrace(`frame ${stage}`), fields)
    }
  }
})

const known = (fields: StageFields): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** Milliseconds since a time of the log's clock, to the hundredth. */
export const since = (frames: FrameLog, start: number): number => Math.round((frames.now() - start) * 100) / 100
