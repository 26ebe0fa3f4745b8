/** One client's socket, from its upgrade until it is closed: its frames, its session, and the reason it is closed for. */
import type { Socket } from "node:net"
import { Cause, Effect, type Fiber, Option } from "effect"
import type { WebSocket } from "ws"
import { withPatience } from "../../internal/timeouts.ts"
import type { TokenRefused } from "../../ports/Access.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { CloseCode, type Connection } from "../../protocols/Connection.ts"
import type { Frame } from "../../protocols/Frame.ts"
import type { ProtocolSession } from "../../protocols/ProtocolSession.ts"
import type { GrantEnded } from "../../rooms/AdmissionControl.ts"
import type { MemoryBudget } from "../MemoryBudget.ts"
import { FrameQueue, type FrameQueueOwner } from "./FrameQueue.ts"
import { Liveness } from "./Liveness.ts"
import { SocketConnection } from "./SocketConnection.ts"

/** Why the server closes a connection. */
export type CloseReason = TokenRefused | GrantEnded | StorageUnavailable

export interface ClientSocketServices {
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly maxBufferedBytes: number
  readonly memoryBudget: MemoryBudget
  /** The protocol's frame for a token that is not valid, or not any more. undefined: the close code alone says it. */
  readonly unauthorized?: Frame
}

/** How long a shutdown waits for answers to what clients have sent, and as long again for the clients to close. */
export const SHUTDOWN_TIMEOUT = "3 seconds"

export class ClientSocket implements FrameQueueOwner {
  readonly frames: FrameQueue
  readonly connection: Connection
  readonly ws: WebSocket
  private readonly services: ClientSocketServices
  private readonly liveness: Liveness
  private session: ProtocolSession | undefined
  /** Opens the session, and then waits for a reason to close it. Interrupted when the client goes. */
  private serving: Fiber.Fiber<void> | undefined

  constructor(ws: WebSocket, socket: Socket, services: ClientSocketServices) {
    this.ws = ws
    this.services = services
    this.liveness = new Liveness(socket)
    this.frames = new FrameQueue(ws, this)
    this.connection = new SocketConnection(ws, socket, {
      frames: this.frames,
      maxBufferedBytes: services.maxBufferedBytes
    })
  }

  // ---- serving

  /** Runs the effect that opens the session and calls `serve`. A failure closes the connection. */
  open(opening: Effect.Effect<void, CloseReason>): void {
    const fiber = this.start(opening)
    // If the opening completed at once, `serve` has put its own fiber there.
    if (this.session === undefined) this.serving = fiber
  }

  /** Starts to handle frames. Runs `untilEnd` for as long as the client is there; a failure closes the connection. */
  serve(session: ProtocolSession, untilEnd: Effect.Effect<void, CloseReason>): void {
    this.session = session
    this.serving = this.start(untilEnd)
    this.frames.open()
  }

  /** Whether the client was admitted: it has a session. */
  get isServed(): boolean {
    return this.session !== undefined
  }

  private start(effect: Effect.Effect<void, CloseReason>): Fiber.Fiber<void> {
    return this.services.run(Effect.catchCause(effect, (cause) => this.closeFor(cause)))
  }

  // ---- as the owner of the frame queue

  run(effect: Effect.Effect<void>): void {
    this.services.run(effect)
  }

  handle(texts: ReadonlyArray<string>, length: number): Effect.Effect<number> {
    const { services, session } = this
    if (session === undefined) return Effect.succeed(0)
    let millis = 0
    const receive = Effect.suspend(() => {
      const start = performance.now()
      const receiving = session.receive(texts)
      millis = performance.now() - start
      return receiving
    })
    return services.memoryBudget.handle(length, receive, session.answered).pipe(
      Effect.catchCause((cause) => this.closeFor(cause)),
      Effect.map(() => millis)
    )
  }

  ended(): void {
    this.serving?.interruptUnsafe()
  }

  // ---- heartbeat and closing

  /** Pings the client. Drops the connection if nothing has moved on it since the last ping. */
  ping(): void {
    if (this.liveness.hasMoved()) this.ws.ping()
    else this.ws.terminate()
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
          // No `unauthorized` frame, which would make the client give up: it can come back once the library is resumed.
          return connection.close(CloseCode.tryAgainLater, "the library is suspended")
        case "StorageUnavailable":
          yield* Effect.logWarning(error.message)
          return connection.close(CloseCode.tryAgainLater, "the storage is not available")
        case undefined:
          yield* Effect.logError("A connection failed", cause)
          return connection.close(CloseCode.internalError, "internal error")
      }
    })
  }

  private refuseToken(reason: string): void {
    const { unauthorized } = this.services
    if (unauthorized !== undefined) this.connection.send(unauthorized)
    this.connection.close(CloseCode.tokenRefused, reason)
  }

  /** Waits until every frame that has arrived is answered, at most `SHUTDOWN_TIMEOUT`; then closes with 1001. */
  get shutDown(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.session === undefined
        ? Effect.void
        : withPatience(Effect.andThen(this.frames.handled, this.session.answered), SHUTDOWN_TIMEOUT)
    ).pipe(Effect.andThen(Effect.sync(() => this.ws.close(CloseCode.goingAway, "the server is shutting down"))))
  }

  /** Drops the connection without a closing frame. */
  terminate(): void {
    this.ws.terminate()
  }
}
