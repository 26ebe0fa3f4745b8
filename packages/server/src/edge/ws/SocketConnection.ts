/** A WebSocket as the protocols see it: frames out, past `ws`, and the bound on what a slow client is sent. */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import { CloseCode, type Connection } from "../../protocols/Connection.ts"
import type { Frame } from "../../protocols/Frame.ts"
import type { FrameQueue } from "./FrameQueue.ts"

/** Bytes that a client may be behind before frames that may be lost are dropped. */
const MAX_VOLATILE_BYTES = 256 * 1024

export class SocketConnection implements Connection {
  readonly id = randomBytes(12).toString("base64url")
  private readonly ws: WebSocket
  private readonly socket: Socket
  private readonly maxBufferedBytes: number
  private readonly inbox: FrameQueue
  private sentAway = false
  /** Bytes of a frame that is larger than a client may be behind, until the client has taken it. */
  private large = 0

  constructor(
    ws: WebSocket,
    socket: Socket,
    options: { readonly maxBufferedBytes: number; readonly inbox: FrameQueue }
  ) {
    this.ws = ws
    this.socket = socket
    this.maxBufferedBytes = options.maxBufferedBytes
    this.inbox = options.inbox
  }

  send(...frame: ReadonlyArray<Uint8Array>): void {
    let length = 0
    for (const piece of frame) length += piece.length
    const behind = this.socket.writableLength - this.large
    if (behind + length <= this.maxBufferedBytes) return this.write(frame)
    // A document may be larger than the bound, and take long; what happens to it meanwhile comes behind it.
    if (this.large === 0 && behind <= this.maxBufferedBytes) {
      this.large = length
      return this.write(frame, () => {
        this.large = 0
      })
    }
    this.close(CloseCode.tryAgainLater, "the client does not keep up")
  }

  sendVolatile(frame: Frame): void {
    if (this.socket.writableLength + frame.length <= MAX_VOLATILE_BYTES) this.write([frame])
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
  private write(frame: ReadonlyArray<Uint8Array>, taken?: () => void): void {
    if (this.ws.readyState !== this.ws.OPEN) return
    if (this.socket.writableCorked === 0) {
      this.socket.cork()
      process.nextTick(uncork, this.socket)
    }
    const last = frame.length - 1
    for (let i = 0; i <= last; i++) this.socket.write(frame[i]!, i === last ? taken : undefined)
  }
}

const uncork = (socket: Socket): void => socket.uncork()
