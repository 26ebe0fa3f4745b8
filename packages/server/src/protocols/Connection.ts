/** A client's connection, as a protocol sees it. */

import type { Frame } from "./Frame.ts"

/** After `close`, the other methods do nothing. */
export interface Connection {
  /** Unique. It is the `origin` of the connection's events. */
  readonly id: string
  /** Sends a frame, which may be given in pieces. Closes the connection with 1013 if the client is too far behind. */
  readonly send: (...frame: ReadonlyArray<Uint8Array>) => void
  /** Sends a frame that may be lost: it is dropped if the client is behind. */
  readonly sendVolatile: (frame: Frame) => void
  /** Counts a piece of a frame in the making as one that waits for the client, until the returned function is called. */
  readonly hold: (piece: Uint8Array) => () => void
  readonly close: (code: number, reason: string) => void
  /** Whether `close` was called. False if the client went by itself: its last frames are still handled. */
  readonly isSentAway: () => boolean
}

/**
 * WebSocket close codes: RFC 6455 section 7.4.1, and 4400–4499 for refusals that the client cannot mend by connecting
 * again.
 */
export const CloseCode = {
  goingAway: 1001,
  protocolError: 1002,
  /** The connection ended without a closing frame. It is never sent. */
  lost: 1006,
  notUtf8OrJson: 1007,
  policy: 1008,
  tooLarge: 1009,
  internalError: 1011,
  tryAgainLater: 1013,
  tokenRefused: 4401,
  forbidden: 4403,
  notFound: 4404
} as const

export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode]
