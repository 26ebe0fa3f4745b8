/** The messages between the parent and a worker. Both are processes of one version of this program. */
import type { NamedConnections, OpenConnection } from "../ports/Connections.ts"
import type { Health } from "../ports/Workers.ts"

export type Question =
  | { readonly about: "health" }
  | { readonly about: "metrics" }
  | { readonly about: "connections" }
  | { readonly about: "disconnect"; readonly named: NamedConnections }

export interface Answers {
  readonly health: Health
  readonly metrics: string
  readonly connections: ReadonlyArray<OpenConnection>
  readonly disconnect: number
}

export type AnswerTo<Q extends Question> = Answers[Q["about"]]

/** In both directions: a worker is asked for itself, and the parent for all workers. */
export type Exchanged =
  | { readonly _tag: "Ask"; readonly id: number; readonly question: Question }
  /** undefined: there is no answer. */
  | { readonly _tag: "Answer"; readonly id: number; readonly answer: unknown }

export type ToWorker =
  | Exchanged
  /** Comes with the socket. `head`: the bytes that the parent has read from it, as Latin-1. */
  | { readonly _tag: "Serve"; readonly connection: number; readonly head: string }
  /** Whether the log level differs from the one that the operator configured. */
  | { readonly _tag: "LogLevel"; readonly isChanged: boolean }
  | { readonly _tag: "Stop" }

export type ToParent =
  | Exchanged
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Leaving" }
  | { readonly _tag: "Closed"; readonly connections: ReadonlyArray<number> }
