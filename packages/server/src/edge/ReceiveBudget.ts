/**
 * Bounds the memory of large messages that clients are sending, for all clients together. A message has room reserved for
 * all of it before the rest of it is read, so that messages which are admitted never wait for each other. It keeps the room
 * until it is answered. Without room, its socket is not read.
 */

/** Bytes of a message that a client may send without room in the budget. */
export const UNRESERVED_BYTES = 64 * 1024
/** Milliseconds between two looks at the progress of the messages that are arriving. */
export const PROGRESS_INTERVAL = 5000
/** Bytes that a client sends in a second at least, while others wait: a third of a slow 3G uplink. */
export const MIN_BYTES_PER_SECOND = 16 * 1024
const MIN_PROGRESS = (MIN_BYTES_PER_SECOND * PROGRESS_INTERVAL) / 1000
/** One look may find less, because the line stalled or this process did. */
export const MAX_SLOW_LOOKS = 1

export interface ReservationRequest {
  /** Users take turns: the one with the least room is next. */
  readonly user: string
  readonly bytes: number
  /** There is room. May be called before `reserve` returns. */
  readonly granted: () => void
  /** The message arrives too slowly while others wait. The owner gives the room back. */
  readonly tooSlow: () => void
}

/** Room for one message. */
export class Reservation {
  readonly request: ReservationRequest
  private readonly budget: ReceiveBudget
  state: "waiting" | "arriving" | "arrived" | "released" = "waiting"
  /** Bytes that have arrived, now and at the last look. */
  received = 0
  private receivedBefore = 0
  private slowLooks = 0

  constructor(budget: ReceiveBudget, request: ReservationRequest) {
    this.budget = budget
    this.request = request
  }

  get isGranted(): boolean {
    return this.state === "arriving" || this.state === "arrived"
  }

  /** The message is complete: from here on it waits for the server, and not for its client. */
  complete(): void {
    if (this.state === "arriving") this.state = "arrived"
  }

  /** Gives the room back. A second call does nothing. */
  release(): void {
    this.budget.release(this)
  }

  /** Looks at the progress since the last look. Returns whether there is too little. */
  isTooSlow(): boolean {
    const progress = this.received - this.receivedBefore
    this.receivedBefore = this.received
    this.slowLooks = progress < MIN_PROGRESS ? this.slowLooks + 1 : 0
    return this.slowLooks > MAX_SLOW_LOOKS
  }
}

interface User {
  readonly name: string
  held: number
  readonly waiting: Array<Reservation>
}

export class ReceiveBudget {
  private readonly maxBytes: number
  private held = 0
  private readonly users = new Map<string, User>()
  private readonly waitingUsers = new Set<User>()
  private readonly granted = new Set<Reservation>()

  /** `maxBytes` must have room for one message. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** Bytes that are reserved. */
  get reserved(): number {
    return this.held
  }

  reserve(request: ReservationRequest): Reservation {
    const reservation = new Reservation(this, request)
    const user = this.userOf(request.user)
    user.waiting.push(reservation)
    this.waitingUsers.add(user)
    this.grantWaiting()
    return reservation
  }

  release(reservation: Reservation): void {
    const { request, state } = reservation
    if (state === "released") return
    reservation.state = "released"
    const user = this.userOf(request.user)
    if (state === "waiting") {
      user.waiting.splice(user.waiting.indexOf(reservation), 1)
      if (user.waiting.length === 0) this.waitingUsers.delete(user)
    } else {
      this.granted.delete(reservation)
      user.held -= request.bytes
      this.held -= request.bytes
    }
    if (user.held === 0 && user.waiting.length === 0) this.users.delete(user.name)
    this.grantWaiting()
  }

  /** Ends messages that arrive too slowly, if others wait for their room. Called at every `PROGRESS_INTERVAL`. */
  lookAtProgress(): void {
    for (const reservation of [...this.granted]) {
      if (reservation.state !== "arriving") continue
      if (reservation.isTooSlow() && this.waitingUsers.size > 0) reservation.request.tooSlow()
    }
  }

  private grantWaiting(): void {
    for (let next = this.next(); next !== undefined; next = this.next()) {
      const { reservation, user } = next
      user.waiting.shift()
      if (user.waiting.length === 0) this.waitingUsers.delete(user)
      user.held += reservation.request.bytes
      this.held += reservation.request.bytes
      reservation.state = "arriving"
      this.granted.add(reservation)
      reservation.request.granted()
    }
  }

  /** The next reservation, if there is room for it. Smaller ones behind it wait as well, else it might wait for ever. */
  private next(): { readonly user: User; readonly reservation: Reservation } | undefined {
    let first: User | undefined
    for (const user of this.waitingUsers) {
      if ((first === undefined || user.held < first.held) && this.isWithinShare(user)) first = user
    }
    const reservation = first?.waiting[0]
    if (first === undefined || reservation === undefined) return undefined
    const fits = this.held === 0 || this.held + reservation.request.bytes <= this.maxBytes
    return fits ? { user: first, reservation } : undefined
  }

  /** Whether a user's next message leaves half of the room to the others. Each user may have one message of any size. */
  private isWithinShare({ held, waiting }: User): boolean {
    return held === 0 || held + waiting[0]!.request.bytes <= this.maxBytes / 2
  }

  private userOf(name: string): User {
    let user = this.users.get(name)
    if (user === undefined) {
      user = { name, held: 0, waiting: [] }
      this.users.set(name, user)
    }
    return user
  }
}
