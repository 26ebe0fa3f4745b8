/**
 * A client that writes rising numbers, keeps what it has, and comes back whenever its connection ends or stalls. The numbers
 * that a server has acknowledged must never be missing from what a server sends.
 */
import { WebSocket } from "ws"
import type { Random } from "../support/random.ts"

export interface Soak {
  readonly random: Random
  /** The addresses of the server processes, ws://HOST:PORT. */
  readonly urls: ReadonlyArray<string>
  /** A promise does not hold. */
  readonly report: (problem: string) => void
  /** A client was served a document for so many milliseconds that lacked what was acknowledged. */
  readonly wasBehind: (millis: number) => void
}

export interface Message {
  readonly type: string
  readonly [field: string]: unknown
}

/** A connection on which an answer is due, and on which nothing has arrived for so long, is given up. Milliseconds. */
const STALL_MILLIS = 8000
const MAX_BACK_OFF_MILLIS = 1500

export abstract class Peer {
  readonly name: string
  protected readonly soak: Soak
  /** The newest number that it wrote. */
  protected newest = 0
  private socket: WebSocket | undefined
  private heardAt = 0
  private isStopped = false
  connections = 0

  constructor(name: string, soak: Soak) {
    this.name = name
    this.soak = soak
  }

  get numbersWritten(): number {
    return this.newest
  }

  /** Its content, which is equal for all peers of one document or library in the end. */
  abstract get content(): string
  /** Whether the server has acknowledged everything. */
  abstract get isSettled(): boolean
  /** Writes the next number, unless too many wait for an answer. */
  abstract write(): void
  /** The log was restored from a backup: what was acknowledged before may be missing until its author brings it again. */
  abstract forgive(): void
  protected abstract address(url: string): { readonly url: string; readonly protocols: ReadonlyArray<string> }
  protected abstract opened(): void
  protected abstract receive(message: Message): void
  protected abstract closed(): void

  start(): void {
    if (this.isStopped) return
    const { random, urls } = this.soak
    const { protocols, url } = this.address(urls[random.next(urls.length)]!)
    const socket = new WebSocket(url, [...protocols], { handshakeTimeout: STALL_MILLIS })
    this.socket = socket
    this.heardAt = Date.now()
    socket.on("open", () => {
      this.connections += 1
      this.opened()
    })
    socket.on("message", (data) => {
      if (this.socket !== socket) return
      this.heardAt = Date.now()
      this.receive(JSON.parse(String(data)))
    })
    socket.on("error", () => {})
    socket.on("close", () => {
      if (this.socket !== socket) return
      this.socket = undefined
      this.closed()
      setTimeout(() => this.start(), random.next(MAX_BACK_OFF_MILLIS))
    })
  }

  stop(): void {
    this.isStopped = true
    this.socket?.terminate()
  }

  /** Its network breaks, or it starts again. */
  cut(): void {
    this.socket?.terminate()
  }

  /** Gives up a connection that has stalled. */
  look(): void {
    if (!this.isSettled && Date.now() - this.heardAt > STALL_MILLIS) this.cut()
  }

  protected send(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message))
  }
}
