/** One client's socket, from its upgrade until it is closed: its frames, its session, and the reason it is closed for. */
import type { Socket } from "node:net"
import { Cause, Effect, type Fiber, Option } from "effect"
import type { RawData, WebSocket } from "ws"
import type { SharedBytes } from "../../internal/SharedBytes.ts"
import { withPatience } from "../../internal/timeouts.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import type { TokenRefused } from "../../ports/Access.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { CloseCode } from "../../protocols/Connection.ts"
import type { Frame } from "../../protocols/Frame.ts"
import { type FrameText, type ProtocolSession, type Received, receive } from "../../protocols/ProtocolSession.ts"
import type { AccessUndecided } from "../../rooms/AccessControl.ts"
import type { GrantEnded } from "../../rooms/AdmissionControl.ts"
import { OpeningGaveWay, TooManyOpenings } from "../../rooms/Openings.ts"
import { damageIn } from "../../rooms/VerifiedEventLog.ts"
import type { ConnectionLog } from "../ConnectionLog.ts"
import type { MemoryBudget } from "../MemoryBudget.ts"
import type { UserTurns } from "../UserTurns.ts"
import { ArrivingMessage, type ArrivingMessageOwner, type ArrivingMessageServices } from "./ArrivingMessage.ts"
import { FrameQueue, type FrameQueueOwner } from "./FrameQueue.ts"
import { readLargePayloads } from "./LargePayload.ts"
import { Liveness } from "./Liveness.ts"
import { SocketConnection, type SocketConnectionServices } from "./SocketConnection.ts"
import { SocketReading } from "./SocketReading.ts"

/** Why the server closes a connection. */
export type CloseReason = TokenRefused | GrantEnded | StorageUnavailable | AccessUndecided

export interface ClientSocketServices extends ArrivingMessageServices, SocketConnectionServices {
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly memoryBudget: MemoryBudget
  readonly userTurns: UserTurns
  /** The bytes of frames that wait or are being handled, of all clients together. */
  readonly waitingFrames: SharedBytes
  readonly log: ConnectionLog
  /** The protocol's frame for a token that is not valid, or not any more. undefined: the close code alone says it. */
  readonly unauthorized?: Frame
  /** The protocol's frame for a document or library that does not exist. */
  readonly missing: Frame
}

/** Whom a client is served as. */
export interface Served {
  readonly session: ProtocolSession
  /** The user whose connections share their budgets. */
  readonly user: string
}

/** How long a shutdown waits for answers to what clients have sent, and as long again for the clients to close. */
export const SHUTDOWN_TIMEOUT = "3 seconds"

/** How long a client that is closed for its slowness may take to close, ms. Until then, its message is in memory. */
const SLOW_CLOSE_TIMEOUT = 1000

export class ClientSocket implements FrameQueueOwner, ArrivingMessageOwner {
  readonly reading: SocketReading
  readonly frames: FrameQueue
  readonly connection: SocketConnection
  readonly ws: WebSocket
  private readonly services: ClientSocketServices
  private readonly liveness: Liveness
  private readonly arriving: ArrivingMessage
  private served: Served | undefined
  /** Opens the session, and then waits for a reason to close it. Interrupted when the client goes. */
  private serving: Fiber.Fiber<void> | undefined

  constructor(ws: WebSocket, socket: Socket, services: ClientSocketServices) {
    this.ws = ws
    this.services = services
    readLargePayloads(ws)
    this.liveness = new Liveness(socket)
    this.reading = new SocketReading(ws)
    this.frames = new FrameQueue(ws, this, this.reading, services.waitingFrames)
    this.arriving = new ArrivingMessage(ws, socket, services, this)
    this.connection = new SocketConnection(ws, socket, this.frames, services)
  }

  /** Takes a frame that has arrived. */
  receive(data: RawData, isBinary: boolean): void {
    const { traffic } = this.services
    traffic.framesReceived.count += 1
    if (Buffer.isBuffer(data)) traffic.bytesReceived.count += data.length
    if (isBinary) this.connection.endsFor(CloseCode.notUtf8OrJson, "a frame is JSON text")
    this.frames.receive(data, isBinary, this.arriving.take())
  }

  /** `ws` itself closes the connection, because a frame breaks the protocol of WebSockets or is too large. */
  broken(error: Error & { readonly code?: unknown }): void {
    const isTooLarge = error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"
    if (isTooLarge) this.connection.endsFor(CloseCode.tooLarge, Metrics.CLOSE_REASONS.frameTooLarge)
    else this.connection.endsFor(CloseCode.protocolError, Metrics.CLOSE_REASONS.notWebSocket)
  }

  /** The socket has closed, with this code. The frames that have arrived are still handled. */
  closed(code: number): void {
    const { byClient, lost } = Metrics.CLOSE_REASONS
    this.connection.endsFor(code, code === CloseCode.lost ? lost : byClient)
    const { protocol } = this.services.traffic
    const ending = this.connection.ending!
    Metrics.connectionsClosed.at({ protocol, code: String(ending.code), reason: ending.reason }).add()
    const { log } = this.services
    const isRefused = !this.isServed && ending.reason !== byClient && ending.reason !== lost
    const message = isRefused ? "connection refused" : "connection closed"
    if (log.isOn) log.line(message, { session: this.connection.id, protocol, ...ending })
    this.arriving.end()
    this.connection.ended()
    this.frames.end()
  }

  // ---- serving

  /** Runs the effect that opens the session and calls `serve`. A failure closes the connection. */
  open(opening: Effect.Effect<void, CloseReason>): void {
    const fiber = this.start(opening)
    // If the opening completed at once, `serve` has put its own fiber there.
    if (this.served === undefined) this.serving = fiber
  }

  /** Starts to handle frames. Runs `untilEnd` for as long as the client is there; a failure closes the connection. */
  serve(served: Served, untilEnd: Effect.Effect<void, CloseReason>): void {
    this.served = served
    this.serving = this.start(untilEnd)
    this.arriving.admit(served.user)
    this.frames.open()
  }

  get protocol(): Metrics.ProtocolName {
    return this.services.traffic.protocol
  }

  /** Runs another effect in place of the one given to `serve`, which is interrupted. Called while a frame is handled. */
  awaitAnew(untilEnd: Effect.Effect<void, CloseReason>): void {
    this.serving?.interruptUnsafe()
    this.serving = this.start(untilEnd)
  }

  /** Whether the client was admitted: it has a session. */
  get isServed(): boolean {
    return this.served !== undefined
  }

  private start(effect: Effect.Effect<void, CloseReason>): Fiber.Fiber<void> {
    return this.services.run(Effect.catchCause(effect, (cause) => this.closeFor(cause)))
  }

  // ---- as the owner of the frame queue

  handle(texts: ReadonlyArray<FrameText>, length: number, done: () => void): void {
    const { served, services } = this
    if (served === undefined) return done()
    const { session, user } = served
    // Messages that are small for `UserTurns` are small for the memory budget.
    const leave = services.userTurns.enterNow(user, length)
    if (leave === undefined) {
      const handling = services.memoryBudget.handle(length, receive(session, texts), session.answered)
      return this.finish(services.userTurns.inTurn(user, length, handling), done)
    }
    let isOver = false
    // An app's own `Signatures` may call back twice.
    const end = () => {
      if (isOver) return
      isOver = true
      leave()
      done()
    }
    const received: Received = (rest) => (rest === undefined ? end() : this.finish(rest, end))
    try {
      session.receive(texts, received)
    } catch (defect) {
      this.finish(Effect.die(defect), end)
    }
  }

  /** Does the rest of some frames in a fiber. A failure closes the connection. */
  private finish(rest: Effect.Effect<void, CloseReason>, done: () => void): void {
    const closing = Effect.catchCause(rest, (cause) => this.closeFor(cause))
    this.services.run(Effect.ensuring(closing, Effect.sync(done)))
  }

  ended(): void {
    this.serving?.interruptUnsafe()
  }

  // ---- as the owner of the message that is arriving

  tooSlow(): void {
    this.connection.close(CloseCode.tryAgainLater, "the message arrives too slowly while others wait")
    setTimeout(() => this.ws.terminate(), SLOW_CLOSE_TIMEOUT)
  }

  tooManyPieces(): void {
    this.connection.close(CloseCode.policy, "the message comes in too many pieces")
  }

  // ---- heartbeat and closing

  /** Pings the client. Drops the connection if nothing has moved on it since the last ping, unless it is not read. */
  ping(): void {
    if (this.liveness.hasMoved() || this.ws.isPaused) this.ws.ping()
    else this.connection.terminate(Metrics.CLOSE_REASONS.dead)
  }

  /** Closes the connection and tells the client why, in its protocol's way. An interruption means that the client went. */
  closeFor(cause: Cause.Cause<CloseReason>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (Cause.hasInterruptsOnly(cause)) return
      const { connection } = this
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      switch (error?._tag) {
        case "TokenRefused":
          if (error.reason === "unavailable")
            return connection.close(CloseCode.tryAgainLater, "the keys are not available")
          return this.refuseToken("the token is not valid")
        case "GrantEnded":
          if (error.reason === "revoked") return this.refuseToken("the token was revoked")
          if (error.reason === "deleted") {
            connection.send(this.services.missing)
            return connection.close(CloseCode.notFound, "the library was deleted")
          }
          // No `unauthorized` frame, which would make the client give up: it can come back once the library is resumed.
          return connection.close(CloseCode.tryAgainLater, "the library is suspended")
        case "StorageUnavailable":
          if (error instanceof TooManyOpenings)
            return connection.close(CloseCode.tryAgainLater, "too many documents wait to be opened")
          if (error instanceof OpeningGaveWay)
            return connection.close(CloseCode.tryAgainLater, "the server has too little memory")
          yield* Effect.logWarning(error.message)
          return connection.close(CloseCode.tryAgainLater, "the storage is not available")
        case "AccessUndecided":
          return connection.close(CloseCode.tryAgainLater, error.message)
        case undefined:
          // The server's log has said so: clients may come back many times.
          if (damageIn(cause) !== undefined) return connection.close(CloseCode.internalError, "the log is damaged")
          yield* Effect.logError("A connection failed", cause)
          return connection.close(CloseCode.internalError, "internal error")
      }
    }).pipe(Effect.annotateLogs("session", this.connection.id))
  }

  private refuseToken(reason: string): void {
    const { unauthorized } = this.services
    if (unauthorized !== undefined) this.connection.send(unauthorized)
    this.connection.close(CloseCode.tokenRefused, reason)
  }

  /**
   * Waits until every frame that has arrived is answered, and until the client has brought what only it has and was asked for, because
   * a process that ends forgets that; at most `SHUTDOWN_TIMEOUT`. Frames that arrive in this time may have it asked again. Then closes
   * with 1001.
   */
  get shutDown(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.served === undefined) return Effect.void
      const { answered, brought } = this.served.session
      const handled = Effect.andThen(this.frames.handled, answered)
      const settled = Effect.repeat(Effect.andThen(handled, brought), { while: (hasWaited) => hasWaited })
      return withPatience(settled, SHUTDOWN_TIMEOUT)
    }).pipe(
      Effect.andThen(
        Effect.sync(() => {
          const reason = Metrics.CLOSE_REASONS.shuttingDown
          this.connection.endsFor(CloseCode.goingAway, reason)
          this.ws.close(CloseCode.goingAway, reason)
        })
      )
    )
  }

  /**
   * Drops the connection without a closing frame, and the frames that wait: at a shutdown, the interruption of all fibers would not
   * end a queue that goes on without one.
   */
  terminate(reason: string): void {
    this.frames.stop()
    this.connection.terminate(reason)
  }
}
