/** The session of one client, in the same shape for every protocol: a WebSocket need not know which one it serves. */
import type { Effect } from "effect"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import type { AccessUndecided } from "../rooms/AccessControl.ts"

export interface ProtocolSession {
  /** Reads text frames, before it returns, and handles them in order. Completes when the session can take the next frames. */
  readonly receive: (texts: ReadonlyArray<string>) => Effect.Effect<void, StorageUnavailable | AccessUndecided>
  /** Waits until every received frame is answered. */
  readonly answered: Effect.Effect<void>
}
