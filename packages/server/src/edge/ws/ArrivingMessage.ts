/**
 * The message that is arriving on a socket, of which `ws` keeps the bytes until it is complete. Reserves room for it if it is
 * large, and stops the reading of the socket until there is room. Before the client is admitted, a large message waits.
 */
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import { type ReceiveBudget, type Reservation, UNRESERVED_BYTES } from "../ReceiveBudget.ts"
import { FULL_QUEUE, NO_ROOM, type SocketReading } from "./SocketReading.ts"

/** Bytes that a piece of a message counts at least: each read of the socket is an object of its own until the end. */
const PIECE_BYTES = 1024

export interface ArrivingMessageServices {
  readonly receiveBudget: ReceiveBudget
  readonly maxFrameBytes: number
}

export interface ArrivingMessageOwner {
  readonly reading: SocketReading
  /** The message arrives too slowly while others wait for room. */
  readonly tooSlow: () => void
  /** The message comes in so many pieces that it takes more memory than its length. */
  readonly tooManyPieces: () => void
}

/** The parts of `ws` that tell of an unfinished message. `ws` has no public way to. */
interface Receiver {
  /** Bytes of the message's frames so far, as their headers announce them; 0 between two messages. */
  readonly _totalPayloadLength: number
  /** Not 0: more frames of the message follow, and its length is not known. */
  readonly _fragmented: number
}

export class ArrivingMessage {
  private readonly receiver: Receiver
  private readonly services: ArrivingMessageServices
  private readonly owner: ArrivingMessageOwner
  private user: string | undefined
  private reservation: Reservation | undefined
  /** Bytes since the message began. */
  private bytes = 0

  constructor(ws: WebSocket, socket: Socket, services: ArrivingMessageServices, owner: ArrivingMessageOwner) {
    this.receiver = (ws as unknown as { readonly _receiver: Receiver })._receiver
    this.services = services
    this.owner = owner
    // After the listener of `ws`, which has read the chunk by then.
    socket.on("data", (chunk: Uint8Array) => this.add(chunk.length))
  }

  /** The client was admitted: its large messages count for the user from here on. */
  admit(user: string): void {
    this.user = user
    if (this.owner.reading.isStoppedFor(NO_ROOM)) this.reserve()
  }

  /** The message is complete. Returns its room, to be released once the message is answered. */
  take(): Reservation | undefined {
    this.bytes = 0
    const { reservation } = this
    if (reservation === undefined) return undefined
    this.reservation = undefined
    reservation.complete()
    return reservation
  }

  /** The connection has closed. */
  end(): void {
    this.reservation?.release()
    this.reservation = undefined
  }

  private add(length: number): void {
    const { _totalPayloadLength: announced, _fragmented: fragmented } = this.receiver
    if (announced === 0 && fragmented === 0) {
      this.bytes = 0
      return
    }
    this.bytes += Math.max(length, PIECE_BYTES)
    const size = this.size
    // A fragment may keep the whole chunk in memory that it came in.
    if (this.bytes > 2 * size + UNRESERVED_BYTES) return this.owner.tooManyPieces()
    if (this.reservation !== undefined) this.reservation.received = this.bytes
    else if (Math.max(announced, fragmented === 0 ? 0 : this.bytes) > UNRESERVED_BYTES) this.reserve()
  }

  /** The length of the message, or the most that it may have. */
  private get size(): number {
    const { _totalPayloadLength: announced, _fragmented: fragmented } = this.receiver
    return fragmented === 0 ? announced : this.services.maxFrameBytes
  }

  private reserve(): void {
    const { owner, services, user } = this
    if (user === undefined) return owner.reading.stop(NO_ROOM)
    const reservation = services.receiveBudget.reserve({
      user,
      bytes: this.size,
      granted: () => owner.reading.resume(NO_ROOM),
      // While the socket is not read, its client cannot send.
      tooSlow: () => (owner.reading.isStoppedFor(FULL_QUEUE) ? undefined : owner.tooSlow())
    })
    reservation.received = this.bytes
    if (!reservation.isGranted) owner.reading.stop(NO_ROOM)
    this.reservation = reservation
  }
}
