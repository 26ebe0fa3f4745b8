/** Where the connections of a server come from: the port that it listens on, or the parent process of a worker. */
import type { Server } from "node:http"
import { Context, type Effect, type Scope } from "effect"
import type { Connections } from "../ports/Connections.ts"
import type { Health } from "../ports/Workers.ts"
import type { ListenError } from "./listen.ts"

/** The answers of one process, when all workers are asked. */
export interface OwnAnswers {
  readonly health: Effect.Effect<Health>
  readonly connections: Connections["Service"]
}

/** Gives connections to the server until the scope closes. Returns the port to which clients connect. */
export type TakeConnections = (server: Server, own: OwnAnswers) => Effect.Effect<number, ListenError, Scope.Scope>

/** Default: the server listens. */
export const ConnectionSource = Context.Reference<TakeConnections | undefined>("@sealog/server/ConnectionSource", {
  defaultValue: () => undefined
})
