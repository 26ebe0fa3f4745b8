/** The session of one client, in the same shape for every protocol: a WebSocket need not know which one it serves. */
import type { Effect } from "effect"
import { type Rest, waitFor } from "../internal/Rest.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import type { AccessUndecided } from "../rooms/AccessControl.ts"

/** The text of a frame; of a large one its UTF-8 bytes, which a session may hand over to a thread. */
export type FrameText = string | Buffer

/** Bytes from which on a frame is large. */
export const LARGE_FRAME_BYTES = 256 * 1024

export interface ProtocolSession {
  /**
   * Takes text frames, and handles them in order. Calls `done` once, now or later, with the rest of the work, after which the
   * session can take the next frames. Does not call it if it throws.
   */
  readonly receive: (texts: ReadonlyArray<FrameText>, done: Received) => void
  /** Waits until every received frame is answered. */
  readonly answered: Effect.Effect<void>
  /** Waits until the client has brought what the server asked it for because no other client has it. Returns whether it had to wait. */
  readonly brought: Effect.Effect<boolean>
}

export type Received = (rest: Rest<StorageUnavailable | AccessUndecided>) => void

/** Has a session handle text frames. Completes when it can take the next ones. */
export const receive = (
  session: ProtocolSession,
  texts: ReadonlyArray<FrameText>
): Effect.Effect<void, StorageUnavailable | AccessUndecided> => waitFor((done) => session.receive(texts, done))
