/** The limits of every connection and request, and their defaults. */
import type { Duration } from "effect"

export interface SocketLimits {
  /** Largest frame a client may send, bytes. Default 32 MiB: a snapshot is one frame. */
  readonly maxFrameBytes: number
  /** Open sockets. Default 10,000; more are refused with 503. */
  readonly maxConnections: number
  /**
   * Bytes that a client may be behind in receiving, besides one frame that may be larger. Default 16 MiB; then it is closed
   * with 1013 and comes back.
   */
  readonly maxBufferedBytes: number
  /** From the upgrade to the document being sent. Default 10 s. */
  readonly handshakeTimeout: Duration.Input
  /** From a request's head to the end of its body, when it uploads no file. Default 30 s. */
  readonly bodyTimeout: Duration.Input
  /** How often a client is pinged; one that does nothing from one ping to the next is dropped. Default 30 s. */
  readonly heartbeat: Duration.Input
}

export const defaultLimits: SocketLimits = {
  maxFrameBytes: 32 * 1024 * 1024,
  maxConnections: 10_000,
  maxBufferedBytes: 16 * 1024 * 1024,
  handshakeTimeout: "10 seconds",
  bodyTimeout: "30 seconds",
  heartbeat: "30 seconds"
}
