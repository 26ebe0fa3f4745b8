/** The session of one client, in the same shape for every protocol: a WebSocket need not know which one it serves. */
import type { Effect } from "effect"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import type { AccessUndecided } from "../rooms/AccessControl.ts"

/** The text of a frame; of a large one its UTF-8 bytes, which a session may hand over to a thread. */
export type FrameText = string | Buffer

/** Bytes from which on a frame is large. */
export const LARGE_FRAME_BYTES = 256 * 1024

export interface ProtocolSession {
  /** Takes text frames, and handles them in order. Completes when the session can take the next frames. */
  readonly receive: (texts: ReadonlyArray<FrameText>) => Effect.Effect<void, StorageUnavailable | AccessUndecided>
  /** Waits until every received frame is answered. */
  readonly answered: Effect.Effect<void>
}
