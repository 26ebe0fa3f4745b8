/**
 * Tells a live connection from a dead one. Answers to pings are not enough: on a slow line, a client cannot answer before
 * it has sent the frame that it is sending, or received the frame that is ahead of the ping. While bytes move in either
 * direction, the connection is alive.
 */
import type { Socket } from "node:net"

export class Liveness {
  private readonly socket: Socket
  private received = -1
  private unsent = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Whether bytes have moved since the last call: received ones, or ones that waited to be sent. First call: true. */
  hasMoved(): boolean {
    const received = this.socket.bytesRead
    const unsent = unsentBytes(this.socket)
    const isMoving = received !== this.received || (this.unsent > 0 && unsent !== this.unsent)
    this.received = received
    this.unsent = unsent
    return isMoving
  }
}

/** Bytes of the current write that the operating system has not taken; Node's `socket.setTimeout` uses them as well. */
const unsentBytes = (socket: Socket): number =>
  (socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } })._handle?.writeQueueSize ?? 0
