/** A client's socket, as the protocols see it. */

import type { Frame } from "./Frame.ts"

/** After `close` the rest are no-ops. */
export interface Connection {
  /** Unique: the `origin` of what is stored for it. */
  readonly id: string
  /** Sends a frame, which may be in pieces. */
  readonly send: (...frame: ReadonlyArray<Uint8Array>) => void
  /** For frames that may be lost: dropped when the client is slow. */
  readonly sendVolatile: (frame: Frame) => void
  readonly close: (code: number, reason: string) => void
  /** Whether `close` was called; not whether the client went. */
  readonly isSentAway: () => boolean
}

/** WebSocket close codes: RFC 6455 section 7.4.1, and 4400–4499 for what trying again cannot mend. */
export const CloseCode = {
  goingAway: 1001,
  notUtf8OrJson: 1007,
  policy: 1008,
  internalError: 1011,
  tryAgainLater: 1013,
  tokenRefused: 4401,
  forbidden: 4403
} as const
