/**
 * A client's frames, handled in order; several together if they arrive faster than they are handled. While too many bytes
 * wait, the socket is not read. The queue runs no fiber of its own. When the client goes, the frames that have arrived are
 * still handled; when the server closes the connection, they are dropped.
 */
import { Effect } from "effect"
import type { RawData, WebSocket } from "ws"
import type { SharedBytes } from "../../internal/SharedBytes.ts"
import { CloseCode } from "../../protocols/Connection.ts"
import { type FrameText, LARGE_FRAME_BYTES } from "../../protocols/ProtocolSession.ts"
import type { Reservation } from "../ReceiveBudget.ts"
import { FULL_QUEUE, type SocketReading } from "./SocketReading.ts"

/** Bytes of waiting frames above which the socket is not read. */
const MAX_BYTES = 1024 * 1024
/** The same before the client is admitted, and while the frames of all clients together are many. */
const FEW_BYTES = 64 * 1024
/** Bytes that a frame counts besides its text, because an empty frame takes memory as well. */
const FRAME_BYTES = 64
/** Frames that are handled together: their signatures are verified in one batch. */
const MAX_FRAMES = 64

export interface FrameQueueOwner {
  /**
   * Handles text frames of `length` characters or bytes together. Calls `done` once, now or later, when the next frames may be
   * handled. Never throws.
   */
  readonly handle: (texts: ReadonlyArray<FrameText>, length: number, done: () => void) => void
  /** The connection has ended and no more frames will be handled. May be called more than once. */
  readonly ended: () => void
}

/** The room that a waiting frame takes in the budget of all clients, until it is handled. */
interface Room {
  /** The frame's number, in the order of arrival. */
  readonly frame: number
  readonly reservation: Reservation
}

export class FrameQueue {
  private readonly ws: WebSocket
  private readonly owner: FrameQueueOwner
  private readonly reading: SocketReading
  private readonly waitingForAll: SharedBytes
  private waiting: Array<FrameText> = []
  private waitingBytes = 0
  /** Frames that have arrived, and of these the frames that are handled or dropped. */
  private arrived = 0
  private done = 0
  private isOpen = false
  private isHandling = false
  private hasEnded = false
  private waiters: ReadonlyArray<{ readonly arrived: number; readonly resume: () => void }> = none
  /** The rooms of large frames that wait, in order. */
  private rooms: ReadonlyArray<Room> = none

  /** `waitingForAll`: the bytes of frames that wait or are being handled, of all clients together. */
  constructor(ws: WebSocket, owner: FrameQueueOwner, reading: SocketReading, waitingForAll: SharedBytes) {
    this.ws = ws
    this.owner = owner
    this.reading = reading
    this.waitingForAll = waitingForAll
  }

  /** Starts to handle frames. */
  open(): void {
    this.isOpen = true
    this.proceed()
  }

  /** Waits until every frame that has arrived is handled. */
  get handled(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const { arrived } = this
      if (arrived <= this.done) resume(Effect.void)
      else this.waiters = [...this.waiters, { arrived, resume: () => resume(Effect.void) }]
    })
  }

  /** Drops the waiting frames and takes no more: the server closes the connection. */
  stop(): void {
    this.waiting = []
    this.waitingForAll.add(-this.waitingBytes)
    this.waitingBytes = 0
    for (const { reservation } of this.rooms) reservation.release()
    this.rooms = none
    this.setDone(this.arrived)
    this.end()
  }

  /**
   * Takes a frame, and the room that is reserved for it, which is given back once the frame is handled. A binary frame closes
   * the connection with 1007, because every protocol here is JSON text.
   */
  receive(data: RawData, isBinary: boolean, reservation?: Reservation): void {
    if (this.hasEnded) return reservation?.release()
    if (isBinary) {
      reservation?.release()
      this.ws.close(CloseCode.notUtf8OrJson, "a frame is JSON text")
      return this.end()
    }
    const text = Buffer.isBuffer(data) && data.length >= LARGE_FRAME_BYTES ? data : data.toString()
    this.waiting.push(text)
    this.arrived += 1
    if (reservation !== undefined) this.rooms = [...this.rooms, { frame: this.arrived, reservation }]
    this.waitingBytes += FRAME_BYTES + text.length
    this.waitingForAll.add(FRAME_BYTES + text.length)
    if (this.waitingBytes > this.maxBytes) this.reading.stop(FULL_QUEUE)
    this.proceed()
  }

  /** Takes no more frames. The frames that wait are still handled. */
  end(): void {
    if (this.hasEnded) return
    this.hasEnded = true
    this.proceed()
  }

  private proceed(): void {
    if (this.isHandling) return
    if (this.waiting.length === 0) {
      if (this.hasEnded) this.owner.ended()
    } else if (this.isOpen) {
      this.isHandling = true
      this.handleWaiting()
    }
  }

  private handleWaiting(): void {
    const { texts, length } = this.take()
    const end = this.arrived - this.waiting.length
    const rooms = this.takeRooms(end)
    let isAtOnce = true
    this.owner.handle(texts, length, () => {
      for (const { reservation } of rooms) reservation.release()
      this.waitingForAll.add(-bytesOf(texts, length))
      this.setDone(end)
      const next = () => {
        this.isHandling = false
        this.proceed()
      }
      // Other clients go first, so that a client that sends much does not hold the event loop.
      if (isAtOnce && this.waiting.length > 0) setImmediate(next)
      else next()
    })
    isAtOnce = false
  }

  private take(): { readonly texts: ReadonlyArray<FrameText>; readonly length: number } {
    const texts = this.waiting.splice(0, MAX_FRAMES)
    let length = 0
    for (const text of texts) length += text.length
    this.waitingBytes -= bytesOf(texts, length)
    if (this.waitingBytes <= this.maxBytes) this.reading.resume(FULL_QUEUE)
    return { texts, length }
  }

  /** Takes the rooms of the frames up to a number. */
  private takeRooms(end: number): ReadonlyArray<Room> {
    const { rooms } = this
    if (rooms.length === 0) return none
    this.rooms = rooms.filter(({ frame }) => frame > end)
    return rooms.filter(({ frame }) => frame <= end)
  }

  private get maxBytes(): number {
    return this.isOpen && !this.waitingForAll.isShort ? MAX_BYTES : FEW_BYTES
  }

  private setDone(count: number): void {
    // Frames that are handled when the queue is stopped are done after those that it dropped.
    this.done = Math.max(this.done, count)
    if (this.waiters.length === 0) return
    for (const { arrived, resume } of this.waiters) if (arrived <= this.done) resume()
    this.waiters = this.waiters.filter(({ arrived }) => arrived > this.done)
  }
}

const bytesOf = (texts: ReadonlyArray<FrameText>, length: number): number => FRAME_BYTES * texts.length + length

/** Shared by all queues that nothing waits for. */
const none: ReadonlyArray<never> = []
