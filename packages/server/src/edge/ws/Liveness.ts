/**
 * Whether anything moves on a connection. A client on a slow line cannot answer a ping before it has sent the frame that it
 * is sending, or taken the one that comes before the ping: while either goes on, it is there.
 */
import type { Socket } from "node:net"

export class Liveness {
  private readonly socket: Socket
  private received = -1
  private left = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** Whether anything was received, or any of what waited to be sent was taken, since this was last asked; at first: yes. */
  beats(): boolean {
    const received = this.socket.bytesRead
    const left = leftToSend(this.socket)
    const isMoving = received !== this.received || (this.left > 0 && left !== this.left)
    this.received = received
    this.left = left
    return isMoving
  }
}

/** What the operating system has not taken yet of what is being written. Node's own `setTimeout` of a socket goes by it. */
const leftToSend = (socket: Socket): number =>
  (socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } })._handle?.writeQueueSize ?? 0
