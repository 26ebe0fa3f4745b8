/**
 * A simulated WebSocket between a device and a server process. Frames arrive late and in order. A connection that breaks
 * loses the frames that are on their way, and each side notices at a time of its own.
 */
import { CloseCode, type Connection } from "@sealog/server/protocols/Connection"
import { textOfFrame } from "@sealog/server/protocols/Frame"
import type { ProtocolSession, Received } from "@sealog/server/protocols/ProtocolSession"
import { Cause, Effect, Exit, type Scope } from "effect"
import type { Random } from "../support/random.ts"
import type { VirtualTime } from "./VirtualTime.ts"

/** The device's end. */
export interface DeviceEnd {
  /** `message`: the frame's JSON. Others may hold it, too. */
  readonly receive: (message: unknown, text: string) => void
  readonly closed: (code: number) => void
}

/** The server's end, in one process. */
export interface ServerEnd {
  /** Opens the session of a connection. */
  readonly open: (connection: Connection) => Effect.Effect<ProtocolSession | undefined, unknown, Scope.Scope>
  /** Runs an effect in the process. */
  readonly run: (effect: Effect.Effect<void>) => void
  /** Sees every frame when the server sends it, whether it arrives or not. */
  readonly sent: (message: unknown) => void
  readonly report: (problem: string) => void
}

/** Frames that a session is given at a time, as `FrameQueue` does. */
const MAX_FRAMES = 64
/** The longest time that a frame takes, and until a side notices that the connection broke, in milliseconds. */
const MAX_LATENCY = 15
const MAX_NOTICE = 3000

export class Link {
  private readonly time: VirtualTime
  private readonly random: Random
  private readonly device: DeviceEnd
  private readonly server: ServerEnd
  private readonly connection: Connection
  /** Frames on their way, and frames that have arrived and are not handled. */
  private toDevice: Array<() => void> = []
  private toServer: Array<() => void> = []
  private arrived: Array<string> = []
  private session: ProtocolSession | undefined
  private isHandling = false
  /** Ends the session, once it is open and the server knows that the connection is gone. */
  private end: (() => void) | undefined
  private isCut = false
  private isDeviceGone = false
  private isServerGone = false
  private isSentAway = false
  private arrivals = { toDevice: 0, toServer: 0 }

  /** `id`: unique in the world; it is the `origin` of the connection's events. */
  constructor(id: string, time: VirtualTime, random: Random, device: DeviceEnd, server: ServerEnd) {
    this.connection = this.connectionOf(id)
    this.time = time
    this.random = random
    this.device = device
    this.server = server
    this.travel("toServer", () => server.run(this.serve))
  }

  // ---- the device's side

  send(text: string): void {
    if (this.isDeviceGone) return
    this.travel("toServer", () => {
      if (this.isServerGone || this.isSentAway) return
      this.arrived.push(text)
      this.proceed()
    })
  }

  /** The device closes the connection. Its frames that are on their way still arrive. */
  close(): void {
    if (this.isDeviceGone) return
    this.isDeviceGone = true
    this.toDevice = []
    this.travel("toServer", () => this.endServer())
  }

  /** The network breaks. */
  cut(): void {
    if (this.isCut) return
    this.isCut = true
    this.toDevice = []
    this.toServer = []
    this.time.after(this.random.next(MAX_NOTICE), () => this.endDevice(CloseCode.lost))
    this.time.after(this.random.next(MAX_NOTICE), () => this.endServer())
  }

  /** The server's process is gone. */
  died(): void {
    this.isServerGone = true
    this.toServer = []
    this.arrived = []
    this.time.after(this.random.next(MAX_LATENCY), () => this.endDevice(CloseCode.lost))
  }

  private endDevice(code: number): void {
    if (this.isDeviceGone) return
    this.isDeviceGone = true
    this.device.closed(code)
  }

  // ---- the way

  private travel(direction: "toDevice" | "toServer", arrive: () => void): void {
    if (this.isCut) return
    const { time } = this
    const at = Math.max(this.arrivals[direction], time.now() + (this.random.next(1000) / 1000) * MAX_LATENCY)
    this.arrivals[direction] = at
    const queue = this[direction]
    queue.push(arrive)
    // Frames keep their order: a timer takes the first of them, not its own. After a cut, the queue is another one.
    time.after(at - time.now(), () => this[direction] === queue && queue.shift()?.())
  }

  // ---- the server's side

  private endServer(): void {
    this.isServerGone = true
    this.proceed()
  }

  private connectionOf(id: string): Connection {
    const send = (...frame: ReadonlyArray<Uint8Array>): void => {
      if (this.isServerGone || this.isSentAway) return
      const text = textOfFrame(frame)
      const message = parsed(text)
      this.server.sent(message)
      this.travel("toDevice", () => !this.isDeviceGone && this.device.receive(message, text))
    }
    return {
      id,
      send,
      sendVolatile: send,
      hold: () => () => {},
      close: (code) => {
        if (this.isSentAway || this.isServerGone) return
        this.isSentAway = true
        this.arrived = []
        this.travel("toDevice", () => this.endDevice(code))
        this.time.after(2 * MAX_LATENCY, () => this.endServer())
      },
      isSentAway: () => this.isSentAway
    }
  }

  /** Opens the session, and keeps it for as long as the connection is there and frames wait. */
  private readonly serve = Effect.suspend(() => {
    const opening = Effect.map(this.server.open(this.connection), (session) => {
      this.session = session
      this.proceed()
    })
    const ended = Effect.callback<void>((resume) => {
      this.end = () => resume(Effect.void)
      this.proceed()
    })
    // If the client goes before it has a session, the opening is interrupted.
    return Effect.raceFirst(Effect.andThen(opening, Effect.never), ended)
  }).pipe(Effect.scoped, (serving) => this.closingAfter(serving))

  /** Handles frames as a real socket does: several together if they arrived together, and in a fiber only if they must wait. */
  private proceed(): void {
    const { arrived, session } = this
    if (this.isHandling) return
    if (arrived.length === 0 || session === undefined) {
      if (this.isServerGone) this.end?.()
      return
    }
    this.isHandling = true
    const done = (): void => {
      this.isHandling = false
      this.proceed()
    }
    const finish = (rest: Parameters<Received>[0]): void =>
      rest === undefined ? done() : this.server.run(Effect.ensuring(this.closingAfter(rest), Effect.sync(done)))
    try {
      session.receive(arrived.splice(0, MAX_FRAMES), finish)
    } catch (defect) {
      finish(Effect.die(defect))
    }
  }

  /** Closes the connection if the effect fails. */
  private closingAfter(effect: Effect.Effect<void, unknown>): Effect.Effect<void> {
    return Effect.map(Effect.exit(effect), (exit) => {
      if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
      if (!Cause.hasDies(exit.cause)) return this.connection.close(CloseCode.tryAgainLater, "")
      this.server.report(`a session threw: ${Cause.pretty(exit.cause)}`)
      this.connection.close(CloseCode.internalError, "")
    })
  }
}

/** The frame that was parsed last: a room sends the same one to all its sessions. */
let last: { readonly text: string; readonly message: unknown } = { text: "null", message: null }

const parsed = (text: string): unknown => {
  if (text !== last.text) last = { text, message: JSON.parse(text) }
  return last.message
}
