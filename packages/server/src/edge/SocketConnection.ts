/** A WebSocket as the protocols see it: frames out, past `ws`, and the bound on what a slow client is sent. */
import { randomBytes } from "node:crypto"
import type { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { CloseCode, type Connection } from "../protocols/Connection.ts"
import type { Frame } from "../protocols/Frame.ts"
import type { Inbox } from "./Inbox.ts"

/** Bytes that a client may be behind before frames that may be lost are dropped. */
const MAX_VOLATILE_BYTES = 256 * 1024

/** A class, as there may be ten thousand of them. */
export class SocketConnection implements Connection {
  readonly id = randomBytes(12).toString("base64url")
  private readonly ws: WebSocket
  private readonly socket: Duplex
  private readonly maxBufferedBytes: number
  private readonly inbox: Inbox
  private sentAway = false

  constructor(ws: WebSocket, socket: Duplex, options: { readonly maxBufferedBytes: number; readonly inbox: Inbox }) {
    this.ws = ws
    this.socket = socket
    this.maxBufferedBytes = options.maxBufferedBytes
    this.inbox = options.inbox
  }

  send(frame: Frame): void {
    // A frame larger than the bound is sent to a client that has taken all before it.
    if (this.socket.writableLength > 0 && this.socket.writableLength + frame.length > this.maxBufferedBytes) {
      this.close(CloseCode.tryAgainLater, "the client does not keep up")
    } else {
      this.write(frame)
    }
  }

  sendVolatile(frame: Frame): void {
    if (this.socket.writableLength + frame.length <= MAX_VOLATILE_BYTES) this.write(frame)
  }

  close(code: number, reason: string): void {
    this.sentAway = true
    this.inbox.stop()
    this.ws.close(code, reason)
    // What still comes is dropped: `ws` would gather a frame of any size until the client has gone.
    this.socket.removeAllListeners("data").resume()
    this.socket.end()
  }

  isSentAway(): boolean {
    return this.sentAway
  }

  /** All that one turn of the event loop brings goes in one write. */
  private write(frame: Frame): void {
    if (this.ws.readyState !== this.ws.OPEN) return
    if (this.socket.writableCorked === 0) {
      this.socket.cork()
      process.nextTick(uncork, this.socket)
    }
    this.socket.write(frame)
  }
}

const uncork = (socket: Duplex): void => socket.uncork()
