/**
 * A WebSocket as a protocol's connection. Writes frames to the socket itself, past `ws`
 * (docs/decisions/0010-frames-made-once.md), and bounds the bytes that wait for a slow client, and for all of them.
 */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import * as Metrics from "../../metrics/Metrics.ts"
import { CloseCode, type Connection } from "../../protocols/Connection.ts"
import type { Frame } from "../../protocols/Frame.ts"
import { Backlog, type SendBudget, UNCOUNTED_BYTES } from "../SendBudget.ts"
import type { FrameQueue } from "./FrameQueue.ts"
import type { Traffic } from "./Traffic.ts"

/** Bytes that wait for a client above which volatile frames are dropped. */
const MAX_VOLATILE_BYTES = 256 * 1024

export interface SocketConnectionServices {
  readonly maxBufferedBytes: number
  readonly sendBudget: SendBudget
  readonly traffic: Traffic
}

/** The code and the reason of a connection's end. */
export interface Ending {
  readonly code: number
  readonly reason: string
}

export class SocketConnection implements Connection {
  readonly id = randomBytes(12).toString("base64url")
  private readonly ws: WebSocket
  private readonly socket: Socket
  private readonly services: SocketConnectionServices
  private readonly frames: FrameQueue
  /** Undefined until the client is behind for the first time. */
  private backlog: Backlog | undefined
  private sentAway = false
  /** Length of a frame beyond the bound, until the operating system has taken it; else 0. */
  private largeBytes = 0
  /** Undefined: the server has not ended the connection. */
  ending: Ending | undefined

  constructor(ws: WebSocket, socket: Socket, frames: FrameQueue, services: SocketConnectionServices) {
    this.ws = ws
    this.socket = socket
    this.frames = frames
    this.services = services
  }

  send(...frame: ReadonlyArray<Uint8Array>): void {
    let length = 0
    for (const piece of frame) length += piece.length
    const { writableLength } = this.socket
    if (writableLength + length <= UNCOUNTED_BYTES) return this.write(frame, length)
    if (this.ws.readyState !== this.ws.OPEN) return
    const { maxBufferedBytes } = this.services
    const behind = writableLength - this.largeBytes
    // One frame may exceed the bound, because a document can be larger. Frames behind it count against the bound as usual.
    const isLarge = behind + length > maxBufferedBytes
    if (isLarge && (this.largeBytes > 0 || behind > maxBufferedBytes)) {
      return this.close(CloseCode.tryAgainLater, "the client does not keep up")
    }
    if (isLarge) this.largeBytes = length
    const backlog = this.openBacklog()
    backlog.add(frame)
    this.write(frame, length, () => {
      if (isLarge) this.largeBytes = 0
      backlog.remove(frame)
    })
  }

  sendVolatile(frame: Frame): void {
    if (this.socket.writableLength + frame.length <= MAX_VOLATILE_BYTES) this.write([frame], frame.length)
    else droppedForSlowClient.add()
  }

  hold(piece: Uint8Array): () => void {
    if (this.ws.readyState !== this.ws.OPEN) return () => {}
    const [backlog, frame] = [this.openBacklog(), [piece]]
    backlog.add(frame)
    return () => backlog.remove(frame)
  }

  private openBacklog(): Backlog {
    const { sendBudget } = this.services
    this.backlog ??= new Backlog(sendBudget, () => this.terminate(Metrics.CLOSE_REASONS.sendBudget))
    return this.backlog
  }

  close(code: number, reason: string): void {
    this.sentAway = true
    this.endsFor(code, reason)
    this.frames.stop()
    this.ws.close(code, reason)
    // `ws` would go on to buffer frames of the client until the client closes. They are dropped instead.
    this.socket.removeAllListeners("data").resume()
    this.socket.end()
  }

  /** Drops the connection without a closing frame. */
  terminate(reason: string): void {
    this.endsFor(CloseCode.lost, reason)
    this.ws.terminate()
  }

  /** Notes why the connection ends. The first reason counts. */
  endsFor(code: number, reason: string): void {
    this.ending ??= { code, reason }
  }

  /** The connection has closed: nothing waits for the client any more. */
  ended(): void {
    this.backlog?.clear()
  }

  isSentAway(): boolean {
    return this.sentAway
  }

  /** Collects the frames of one turn of the event loop into one system call. */
  private write(frame: ReadonlyArray<Uint8Array>, length: number, taken?: () => void): void {
    if (this.ws.readyState !== this.ws.OPEN) return
    const { traffic } = this.services
    traffic.framesSent.count += 1
    traffic.bytesSent.count += length
    if (this.socket.writableCorked === 0) {
      this.socket.cork()
      process.nextTick(uncork, this.socket)
    }
    const last = frame.length - 1
    for (let i = 0; i <= last; i++) this.socket.write(frame[i]!, i === last ? taken : undefined)
  }
}

const droppedForSlowClient = Metrics.messagesDropped.at({ cause: "slow_client" })

const uncork = (socket: Socket): void => socket.uncork()
