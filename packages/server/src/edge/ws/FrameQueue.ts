/**
 * A client's frames, handled in order; several together if they arrive faster than they are handled. While too many bytes
 * wait, the socket is not read. While no frame waits, no fiber runs. When the client goes, the frames that have arrived are
 * still handled; when the server closes the connection, they are dropped.
 */
import { Effect } from "effect"
import type { RawData, WebSocket } from "ws"
import { CloseCode } from "../../protocols/Connection.ts"

/** Bytes of waiting frames above which the socket is not read. */
const MAX_BYTES = 1024 * 1024
/** Bytes that a frame counts besides its text, because an empty frame takes memory as well. */
const FRAME_BYTES = 64
/** Frames that are handled together: their signatures are verified in one batch. */
const MAX_FRAMES = 64
/**
 * Frames of more than `LARGE` characters that take longer to read than `QUICK_MILLIS` make their client wait for `WAIT_FACTOR`
 * times as long before its next ones are read: no client gets more than a fifth of the process for large frames. Smaller
 * ones take a millisecond, unless other processes have the machine.
 */
const LARGE = 64 * 1024
const QUICK_MILLIS = 10
const WAIT_FACTOR = 4

export interface FrameQueueOwner {
  /**
   * Handles text frames of `length` characters together. Completes when the next frames may be handled. Returns the time
   * for which reading them held this process, in milliseconds.
   */
  readonly handle: (texts: ReadonlyArray<string>, length: number) => Effect.Effect<number>
  readonly run: (effect: Effect.Effect<void>) => void
  /** The connection has ended and no more frames will be handled. May be called more than once. */
  readonly ended: () => void
}

export class FrameQueue {
  private readonly ws: WebSocket
  private readonly owner: FrameQueueOwner
  private waiting: Array<string> = []
  private waitingBytes = 0
  /** Frames that have arrived, and of these the frames that are handled or dropped. */
  private arrived = 0
  private done = 0
  private isOpen = false
  private isHandling = false
  private hasEnded = false
  private waiters: ReadonlyArray<{ readonly arrived: number; readonly resume: () => void }> = none

  constructor(ws: WebSocket, owner: FrameQueueOwner) {
    this.ws = ws
    this.owner = owner
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
    this.setDone(this.arrived)
    this.end()
  }

  /** Takes a frame. A binary frame closes the connection with 1007, because every protocol here is JSON text. */
  receive(data: RawData, isBinary: boolean): void {
    if (this.hasEnded) return
    if (isBinary) {
      this.ws.close(CloseCode.notUtf8OrJson, "a frame is JSON text")
      return this.end()
    }
    const text = data.toString()
    this.waiting.push(text)
    this.arrived += 1
    this.waitingBytes += FRAME_BYTES + text.length
    if (this.waitingBytes > MAX_BYTES) this.ws.pause()
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
      const end = Effect.sync(() => {
        this.isHandling = false
        this.proceed()
      })
      this.owner.run(Effect.ensuring(this.handleWaiting(), end))
    }
  }

  private handleWaiting(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      while (this.waiting.length > 0) {
        const { texts, length } = this.take()
        const end = this.arrived - this.waiting.length
        const millis = yield* this.owner.handle(texts, length)
        this.setDone(end)
        if (length > LARGE && millis > QUICK_MILLIS && !this.hasEnded) yield* Effect.sleep(millis * WAIT_FACTOR)
      }
    })
  }

  private take(): { readonly texts: ReadonlyArray<string>; readonly length: number } {
    const texts = this.waiting.splice(0, MAX_FRAMES)
    let length = 0
    for (const text of texts) length += text.length
    this.waitingBytes -= FRAME_BYTES * texts.length + length
    if (this.waitingBytes <= MAX_BYTES && this.ws.isPaused) this.ws.resume()
    return { texts, length }
  }

  private setDone(count: number): void {
    this.done = count
    if (this.waiters.length === 0) return
    for (const { arrived, resume } of this.waiters) if (arrived <= count) resume()
    this.waiters = this.waiters.filter(({ arrived }) => arrived > count)
  }
}

/** Shared by all queues that nothing waits for. */
const none: ReadonlyArray<never> = []
