/**
 * Bounds the bytes that wait for slow clients, for all clients together. A frame that many clients wait for counts once,
 * because it is in memory once. Above the bound, the client that takes the most memory loses its connection.
 */

/** Bytes that may wait for a client without being counted. */
export const UNCOUNTED_BYTES = 64 * 1024
/** Bytes that count for each frame besides its own, for each client that it waits for. */
const ENTRY_BYTES = 128
/** Bytes above which a piece of a frame may be one that many clients share. */
const LARGE_PIECE = 64 * 1024

type Frame = ReadonlyArray<Uint8Array>

/** The frames that wait for one client. */
export class Backlog {
  private readonly budget: SendBudget
  private readonly end: () => void
  private readonly frames = new Set<Frame>()
  private readonly large: Array<Uint8Array> = []
  private smallBytes = 0

  /** `end` ends the connection at once, so that nothing waits for it any more. */
  constructor(budget: SendBudget, end: () => void) {
    this.budget = budget
    this.end = end
  }

  get isEmpty(): boolean {
    return this.frames.size === 0
  }

  /** Adds a frame that waits. May end this connection, or others. */
  add(frame: Frame): void {
    this.frames.add(frame)
    for (const piece of frame) {
      if (piece.length < LARGE_PIECE) this.smallBytes += ENTRY_BYTES + piece.length
      else this.large.push(piece)
    }
    this.budget.add(this, frame)
  }

  /** The client has taken the frame. */
  remove(frame: Frame): void {
    if (!this.frames.delete(frame)) return
    for (const piece of frame) {
      if (piece.length < LARGE_PIECE) this.smallBytes -= ENTRY_BYTES + piece.length
      else this.large.splice(this.large.indexOf(piece), 1)
    }
    this.budget.remove(this, frame)
  }

  /** Ends the connection. */
  drop(): void {
    this.end()
    this.clear()
  }

  /** Nothing waits any more: the connection has ended. */
  clear(): void {
    for (const frame of this.frames) this.remove(frame)
  }

  /** The memory that this backlog takes. A piece that several clients wait for counts in parts. */
  memory(waitingFor: (piece: Uint8Array) => number): number {
    let bytes = this.smallBytes
    for (const piece of this.large) bytes += piece.length / waitingFor(piece)
    return bytes
  }
}

export class SendBudget {
  private readonly maxBytes: number
  private bytes = 0
  /** How often each piece waits. */
  private readonly pieces = new Map<Uint8Array, number>()
  private readonly backlogs = new Set<Backlog>()

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** Bytes that wait. */
  get waiting(): number {
    return this.bytes
  }

  add(backlog: Backlog, frame: Frame): void {
    this.backlogs.add(backlog)
    for (const piece of frame) {
      const count = this.pieces.get(piece) ?? 0
      this.pieces.set(piece, count + 1)
      this.bytes += ENTRY_BYTES + (count === 0 ? piece.length : 0)
    }
    // One client alone may have more, because a document can be larger.
    while (this.bytes > this.maxBytes && this.backlogs.size > 1) this.dropLargest()
  }

  remove(backlog: Backlog, frame: Frame): void {
    if (backlog.isEmpty) this.backlogs.delete(backlog)
    for (const piece of frame) {
      const count = this.pieces.get(piece)! - 1
      if (count === 0) this.pieces.delete(piece)
      else this.pieces.set(piece, count)
      this.bytes -= ENTRY_BYTES + (count === 0 ? piece.length : 0)
    }
  }

  private dropLargest(): void {
    const waitingFor = (piece: Uint8Array): number => this.pieces.get(piece)!
    let largest: Backlog | undefined
    let most = -1
    for (const backlog of this.backlogs) {
      const memory = backlog.memory(waitingFor)
      if (memory > most) [largest, most] = [backlog, memory]
    }
    largest!.drop()
  }
}
