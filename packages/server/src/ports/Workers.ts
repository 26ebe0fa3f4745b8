/** The processes that serve one port together: the workers of `serve --workers`. */
import { Context, type Effect } from "effect"
import type { NamedConnections, OpenConnection } from "./Connections.ts"

export type Health =
  /** `warning`: all clients are served, or will be soon, but an operator should look at the server. */
  { readonly status: "ok"; readonly warning?: string } | { readonly status: "unhealthy"; readonly reason: string }

/** Combined answers of all workers, this one included. */
export interface Workers {
  readonly health: Effect.Effect<Health>
  /** Prometheus' text format. */
  readonly metrics: Effect.Effect<string>
  readonly connections: Effect.Effect<ReadonlyArray<OpenConnection>>
  /** Closes the connections as `Connections.disconnect` does. Returns their number. */
  readonly disconnect: (named: NamedConnections) => Effect.Effect<number>
}

/** The workers of which this process is one. Default: none, and the process answers for itself. */
export const CurrentWorkers = Context.Reference<Workers | undefined>("@sealog/server/CurrentWorkers", {
  defaultValue: () => undefined
})
