/**
 * A WebSocket as a protocol's connection. Writes frames to the socket itself, past `ws`
 * (docs/decisions/0010-frames-made-once.md), and bounds the bytes that wait for a slow client.
 */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import { CloseCode, type Connection } from "../../protocols/Connection.ts"
import type { Frame } from "../../protocols/Frame.ts"
import type { FrameQueue } from "./FrameQueue.ts"

/** Bytes that wait for a client above which volatile frames are dropped. */
const MAX_VOLATILE_BYTES = 256 * 1024

export class SocketConnection implements Connection {
  readonly id = randomBytes(12).toString("base64url")
  private readonly ws: WebSocket
  private readonly socket: Socket
  private readonly maxBufferedBytes: number
  private readonly frames: FrameQueue
  private sentAway = false
  /** Length of a frame beyond the bound, until the operating system has taken it; else 0. */
  private largeBytes = 0

  constructor(
    ws: WebSocket,
    socket: Socket,
    options: { readonly maxBufferedBytes: number; readonly frames: FrameQueue }
  ) {
    this.ws = ws
    this.socket = socket
    this.maxBufferedBytes = options.maxBufferedBytes
    this.frames = options.frames
  }

  send(...frame: ReadonlyArray<Uint8Array>): void {
    let length = 0
    for (const piece of frame) length += piece.length
    const behind = this.socket.writableLength - this.largeBytes
    if (behind + length <= this.maxBufferedBytes) return this.write(frame)
    // One frame may exceed the bound, because a document can be larger. Frames behind it count against the bound as usual.
    if (this.largeBytes === 0 && behind <= this.maxBufferedBytes) {
      this.largeBytes = length
      return this.write(frame, () => {
        this.largeBytes = 0
      })
    }
    this.close(CloseCode.tryAgainLater, "the client does not keep up")
  }

  sendVolatile(frame: Frame): void {
    if (this.socket.writableLength + frame.length <= MAX_VOLATILE_BYTES) this.write([frame])
  }

  close(code: number, reason: string): void {
    this.sentAway = true
    this.frames.stop()
    this.ws.close(code, reason)
    // `ws` would go on to buffer frames of the client until the client closes. They are dropped instead.
    this.socket.removeAllListeners("data").resume()
    this.socket.end()
  }

  isSentAway(): boolean {
    return this.sentAway
  }

  /** Collects the frames of one turn of the event loop into one system call. */
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
