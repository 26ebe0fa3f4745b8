/**
 * One line when a client connects, is refused, or goes, and when a request is refused. The lines are `Debug`: a server with ten thousand clients that come
 * back after a restart would fill its log with them, and anybody may cause refusals. The metrics count them at every level.
 */
import { Effect } from "effect"
import { logThreshold } from "../internal/LogThreshold.ts"

/** The facts of one line. Never a token, and never an address with one in it. */
export type ConnectionFields = Readonly<Record<string, string | number | undefined>>

type Line = "connection opened" | "connection refused" | "connection closed" | "request refused"

export interface ConnectionLog {
  /** Whether `line` writes anything. Callers look at it first, so that a server that does not log builds no fields. */
  readonly isOn: boolean
  readonly line: (message: Line, fields: ConnectionFields) => void
}

export const makeConnectionLog: Effect.Effect<ConnectionLog> = Effect.gen(function* () {
  const threshold = yield* logThreshold
  const run = Effect.runSyncWith(yield* Effect.context<never>())
  return {
    get isOn() {
      return threshold.isDebug
    },
    line: (message, fields) => {
      if (threshold.isDebug) run(Effect.annotateLogs(Effect.logDebug(message), known(fields)))
    }
  }
})

const known = (fields: ConnectionFields): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
