import type { CloseCode } from "../Connection.ts"
import type { Message } from "./Message.ts"

/** A client's connection, as its session uses it. After `close` the other methods do nothing. */
export interface Client {
  /** Unique: the `origin` of the client's events. */
  readonly id: string
  /** Whether the connection stays open, so that the client is sent what others do. */
  readonly isRealtime: boolean
  readonly send: (message: Message) => void
  readonly sendVolatile: (message: Message) => void
  /** Counts a piece of a message in the making as one that waits for the client, until the returned function is called. */
  readonly hold: (piece: Uint8Array) => () => void
  readonly close: (code: CloseCode, reason: string) => void
  /** The connection is closed or closing: nothing more is handled, and nothing reaches the client. */
  readonly isSentAway: () => boolean
}
