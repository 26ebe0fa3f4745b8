/** The shape that every protocol gives to one client's session, so that sockets need not know the protocol. */
import type { Effect } from "effect"
import type { StorageUnavailable } from "../ports/EventLog.ts"

export interface ProtocolSession {
  /** Handles text frames in their order; done when the next may be handled. */
  readonly receive: (texts: ReadonlyArray<string>) => Effect.Effect<void, StorageUnavailable>
  /** Waits until what was received is answered. */
  readonly answered: Effect.Effect<void>
}
