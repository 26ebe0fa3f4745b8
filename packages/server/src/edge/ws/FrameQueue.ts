/**
 * A client's frames in their order, and many at a time when they come faster than they are handled. While too many wait,
 * its socket is not read; while none comes, nothing runs. When the client goes, what it sent before is still handled; when
 * the server sends it away, nothing more is.
 */
import { Effect } from "effect"
import type { RawData, WebSocket } from "ws"
import { CloseCode } from "../../protocols/Connection.ts"

/** Bytes of frames that wait to be handled before the socket is not read any more. */
const MAX_BYTES = 1024 * 1024
/** What a frame counts besides its text: an empty one takes memory as well. */
const FRAME_BYTES = 64
/** Frames that are handled at a time: they are verified together, and then taken one after the other. */
const MAX_FRAMES = 64

export interface FrameQueueOwner {
  /** Handles text frames, of so many characters together; done when the next may be handled. */
  readonly handle: (texts: ReadonlyArray<string>, length: number) => Effect.Effect<void>
  readonly run: (effect: Effect.Effect<void>) => void
  /** The client has gone or was sent away, and nothing more will be handled. May be called again. */
  readonly over: () => void
}

export class FrameQueue {
  private readonly ws: WebSocket
  private readonly owner: FrameQueueOwner
  private waiting: Array<string> = []
  private bytes = 0
  private arrived = 0
  private done = 0
  private isOpen = false
  private isHandling = false
  private isOver = false
  private watchers: ReadonlyArray<{ readonly arrived: number; readonly resume: () => void }> = nobody

  constructor(ws: WebSocket, owner: FrameQueueOwner) {
    this.ws = ws
    this.owner = owner
  }

  /** From now on frames are handled. */
  open(): void {
    this.isOpen = true
    this.proceed()
  }

  /** Waits until all that has arrived is handled. */
  get handled(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const { arrived } = this
      if (arrived <= this.done) resume(Effect.void)
      else this.watchers = [...this.watchers, { arrived, resume: () => resume(Effect.void) }]
    })
  }

  /** Drops what waits, and takes nothing more. */
  stop(): void {
    this.waiting = []
    this.setDone(this.arrived)
    this.end()
  }

  receive(data: RawData, isBinary: boolean): void {
    if (this.isOver) return
    if (isBinary) {
      this.ws.close(CloseCode.notUtf8OrJson, "a frame is JSON text")
      return this.end()
    }
    const text = data.toString()
    this.waiting.push(text)
    this.arrived += 1
    this.bytes += FRAME_BYTES + text.length
    if (this.bytes > MAX_BYTES) this.ws.pause()
    this.proceed()
  }

  /** Nothing comes any more. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.proceed()
  }

  private proceed(): void {
    if (this.isHandling) return
    if (this.waiting.length === 0) {
      if (this.isOver) this.owner.over()
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
        yield* this.owner.handle(texts, length)
        this.setDone(end)
      }
    })
  }

  private take(): { readonly texts: ReadonlyArray<string>; readonly length: number } {
    const texts = this.waiting.splice(0, MAX_FRAMES)
    let length = 0
    for (const text of texts) length += text.length
    this.bytes -= FRAME_BYTES * texts.length + length
    if (this.bytes <= MAX_BYTES && this.ws.isPaused) this.ws.resume()
    return { texts, length }
  }

  private setDone(count: number): void {
    this.done = count
    if (this.watchers.length === 0) return
    for (const { arrived, resume } of this.watchers) if (arrived <= count) resume()
    this.watchers = this.watchers.filter(({ arrived }) => arrived > count)
  }
}

const nobody: ReadonlyArray<never> = []
