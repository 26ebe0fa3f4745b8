/** A client from its upgrade on: what it says, what it is told, and why it is sent away. */
import type { Duplex } from "node:stream"
import { Cause, Effect, type Fiber, Option } from "effect"
import type { WebSocket } from "ws"
import type { TokenRefused } from "../Access.ts"
import type { GrantEnded } from "../Administration.ts"
import type { StorageUnavailable } from "../EventLog.ts"
import { CloseCode, type Connection } from "../protocols/Connection.ts"
import { unauthorized } from "../protocols/secsync/Wire.ts"
import { withPatience } from "../withPatience.ts"
import { Inbox, type InboxOwner } from "./Inbox.ts"
import { SocketConnection } from "./SocketConnection.ts"

/** What a protocol makes of a connection. */
export interface ClientSession {
  /** Handles text frames in their order; done when the next may be handled. */
  readonly receive: (texts: ReadonlyArray<string>) => Effect.Effect<void, StorageUnavailable>
  /** Waits until what was received is answered. */
  readonly answered: Effect.Effect<void>
}

type Life = Effect.Effect<void, TokenRefused | GrantEnded | StorageUnavailable>

export interface ClientServices {
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly maxBufferedBytes: number
}

/** How long a shutdown waits until what clients have sent is answered, and as long again until they have gone. */
export const GOODBYE_TIMEOUT = "3 seconds"

/** A class, as there may be ten thousand of them that do nothing. */
export class Client implements InboxOwner {
  readonly inbox: Inbox
  readonly connection: Connection
  private readonly ws: WebSocket
  private readonly services: ClientServices
  private session: ClientSession | undefined
  /** While it runs the client is served. */
  private life: Fiber.Fiber<void> | undefined
  /** It was pinged and has not answered. */
  private isSilent = false

  constructor(ws: WebSocket, socket: Duplex, services: ClientServices) {
    this.ws = ws
    this.services = services
    this.inbox = new Inbox(ws, this)
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
  begin(session: ClientSession, life: Life): void {
    this.session = session
    this.life = this.start(life)
    this.inbox.open()
  }

  private start(effect: Life): Fiber.Fiber<void> {
    return this.services.run(Effect.catchCause(effect, (cause) => sendAway(this.connection, cause)))
  }

  // ---- as one whose frames arrive

  run(effect: Effect.Effect<void>): void {
    this.services.run(effect)
  }

  handle(texts: ReadonlyArray<string>): Effect.Effect<void> {
    const { connection, session } = this
    if (session === undefined) return Effect.void
    return Effect.catchCause(session.receive(texts), (cause) => sendAway(connection, cause))
  }

  over(): void {
    this.life?.interruptUnsafe()
  }

  // ---- heartbeat and farewell

  ping(): void {
    if (this.isSilent) return this.ws.terminate()
    this.isSilent = true
    this.ws.ping()
  }

  answeredPing(): void {
    this.isSilent = false
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

export const sendAway = (
  connection: Connection,
  cause: Cause.Cause<TokenRefused | GrantEnded | StorageUnavailable>
): Effect.Effect<void> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  const close = (code: number, reason: string) => Effect.sync(() => connection.close(code, reason))
  const refuseToken = (reason: string) =>
    Effect.andThen(
      Effect.sync(() => connection.send(unauthorized)),
      close(CloseCode.tokenRefused, reason)
    )
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  switch (error?._tag) {
    case "TokenRefused":
      return refuseToken("the token is not valid")
    case "GrantEnded":
      return error.reason === "suspended"
        ? // Without a word that would have the client give up: it comes back once the library does.
          close(CloseCode.tryAgainLater, "the library is suspended")
        : refuseToken("the token was revoked")
    case "StorageUnavailable":
      return Effect.andThen(
        Effect.logWarning(error.message),
        close(CloseCode.tryAgainLater, "the storage is not available")
      )
    case undefined:
      return Effect.andThen(
        Effect.logError("A connection failed", cause),
        close(CloseCode.internalError, "internal error")
      )
  }
}
