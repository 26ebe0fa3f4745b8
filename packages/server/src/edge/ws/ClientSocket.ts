/** A client from its upgrade on: what it says, what it is told, and why it is sent away. */
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

/** Why a client is sent away. */
type Ending = TokenRefused | GrantEnded | StorageUnavailable
type Life = Effect.Effect<void, Ending>

export interface ClientSocketServices {
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly maxBufferedBytes: number
  readonly largeMessages: MemoryBudget
  /** How the client's protocol says that a token is not good, or not any more; undefined: the close code says it. */
  readonly unauthorized?: Frame
}

/** How long a shutdown waits until what clients have sent is answered, and as long again until they have gone. */
export const GOODBYE_TIMEOUT = "3 seconds"

export class ClientSocket implements FrameQueueOwner {
  readonly inbox: FrameQueue
  readonly connection: Connection
  private readonly ws: WebSocket
  private readonly services: ClientSocketServices
  private session: ProtocolSession | undefined
  /** While it runs the client is served. */
  private life: Fiber.Fiber<void> | undefined
  private readonly pulse: Liveness

  constructor(ws: WebSocket, socket: Socket, services: ClientSocketServices) {
    this.ws = ws
    this.services = services
    this.pulse = new Liveness(socket)
    this.inbox = new FrameQueue(ws, this)
    this.connection = new SocketConnection(ws, socket, {
      inbox: this.inbox,
      maxBufferedBytes: services.maxBufferedBytes
    })
  }

  /** Begins with what leads to a session; it is interrupted when the client goes. */
  open(opening: Life): void {
    const fiber = this.start(opening)
    // Unless that took no time, and the client has a session already.
    if (this.session === undefined) this.life = fiber
  }

  /** From now on frames are handled. `life` goes on for as long as the client is there, and then is interrupted. */
  begin(session: ProtocolSession, life: Life): void {
    this.session = session
    this.life = this.start(life)
    this.inbox.open()
  }

  private start(effect: Life): Fiber.Fiber<void> {
    return this.services.run(Effect.catchCause(effect, (cause) => this.sendAway(cause)))
  }

  // ---- as one whose frames arrive

  run(effect: Effect.Effect<void>): void {
    this.services.run(effect)
  }

  handle(texts: ReadonlyArray<string>, length: number): Effect.Effect<void> {
    const { services, session } = this
    if (session === undefined) return Effect.void
    return services.largeMessages
      .handle(
        length,
        Effect.suspend(() => session.receive(texts)),
        session.answered
      )
      .pipe(Effect.catchCause((cause) => this.sendAway(cause)))
  }

  over(): void {
    this.life?.interruptUnsafe()
  }

  // ---- heartbeat and farewell

  /** Tells the client why, as its protocol does; one that went by itself is told nothing. */
  sendAway(cause: Cause.Cause<Ending>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      if (Cause.hasInterruptsOnly(cause)) return
      const { connection } = this
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      switch (error?._tag) {
        case "TokenRefused":
          return this.refuseToken("the token is not valid")
        case "GrantEnded":
          if (error.reason === "revoked") return this.refuseToken("the token was revoked")
          // Without a word that would have the client give up: it comes back once the library does.
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

  /** Called now and then: who has not even answered the last ping is dropped. */
  ping(): void {
    if (this.pulse.beats()) this.ws.ping()
    else this.ws.terminate()
  }

  get goodbye(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.session === undefined
        ? Effect.void
        : withPatience(Effect.andThen(this.inbox.handled, this.session.answered), GOODBYE_TIMEOUT)
    ).pipe(Effect.andThen(Effect.sync(() => this.ws.close(CloseCode.goingAway, "the server is shutting down"))))
  }

  terminate(): void {
    this.ws.terminate()
  }
}
