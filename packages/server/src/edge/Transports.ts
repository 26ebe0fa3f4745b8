/**
 * Clients on transports of the app's own, such as WebTransport or another library for WebSockets: the app passes on the text of
 * each message. The sessions, rights and revocations are those of the WebSockets here. The limits of a socket, such as its
 * heartbeat and the memory of what waits for a slow client, are the transport's.
 */
import { randomBytes } from "node:crypto"
import { Context, Effect, FiberSet, Layer, Schema, type Scope } from "effect"
import { Access, type Grant, type TokenRefused } from "../ports/Access.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import { CloseCode, type Connection } from "../protocols/Connection.ts"
import { type Frame, textOfFrame } from "../protocols/Frame.ts"
import { receive } from "../protocols/ProtocolSession.ts"
import { documentPathOf, parseTarget } from "../protocols/secsync/ConnectionUrl.ts"
import { SecsyncSessions } from "../protocols/secsync/Sessions.ts"
import { unauthorized } from "../protocols/secsync/Wire.ts"
import { isVerdantPath } from "../protocols/verdant/ConnectionUrl.ts"
import { VerdantSessions } from "../protocols/verdant/Sessions.ts"
import { decodeMessage, forbidden } from "../protocols/verdant/Wire.ts"
import { AccessControl, type AccessUndecided } from "../rooms/AccessControl.ts"
import { AdmissionControl, type GrantEnded } from "../rooms/AdmissionControl.ts"
import { admitVerdant } from "./admitVerdant.ts"
import { authenticate, type ClientRequest } from "./authenticate.ts"
import type { EdgeOptions } from "./EdgeOptions.ts"
import { defaultLimits, type SocketLimits } from "./Limits.ts"
import { gateFor } from "./ws/ReceiveGate.ts"

/** The client may not do what it asks for, or its request names nothing that is served. */
export class ClientRefused extends Schema.TaggedError<ClientRefused>()("ClientRefused", { message: Schema.String }) {}

/** The messages of a poll could not be handled now: the client keeps them, and shall poll again. */
export class TryAgainLater extends Schema.TaggedError<TryAgainLater>()("TryAgainLater", { message: Schema.String }) {}

/** Why a client is not served. */
export type Refusal = ClientRefused | TokenRefused | GrantEnded | AccessUndecided | StorageUnavailable

/** A transport, as the server uses it. It is called in order, and not after `close`. */
export interface Transport {
  /** Sends a message. It must not throw. */
  readonly send: (text: string) => void
  /** Ends the connection, with a WebSocket's code and reason: 4401 for a token that ended, 1013 for "try again later". */
  readonly close: (code: number, reason: string) => void
}

export class Transports extends Context.Service<
  Transports,
  {
    /**
     * Opens the session of a client until the scope closes. `request` has the URL and headers with which the client would open
     * a WebSocket here: `/verdant`, or `/<document>?sessionKey=…`. Returns a function that handles a message; the next may
     * follow when it completes.
     */
    readonly connect: (
      request: ClientRequest,
      transport: Transport
    ) => Effect.Effect<(text: string) => Effect.Effect<void, Refusal>, Refusal, Scope.Scope>
    /** Handles the messages of one request of a Verdant client that polls, and returns the texts of the answers. */
    readonly answer: (
      request: ClientRequest,
      messages: ReadonlyArray<unknown>
    ) => Effect.Effect<ReadonlyArray<string>, Refusal | TryAgainLater>
  }
>()("@sealog/server/Transports") {
  static readonly layer = ({ limits, secsync }: Pick<EdgeOptions, "limits" | "secsync"> = {}) =>
    Layer.effect(Transports, make({ ...defaultLimits, ...limits }, documentPathOf(secsync?.path ?? "")))
}

const make = Effect.fnUntraced(function* ({ maxBufferedBytes }: SocketLimits, documentPath: string) {
  const [access, admission, control] = [yield* Access, yield* AdmissionControl, yield* AccessControl]
  const [documents, libraries] = [yield* SecsyncSessions, yield* VerdantSessions]
  const runFork = yield* FiberSet.makeRuntime<never>()
  const run = (effect: Effect.Effect<void>) => void runFork(effect)

  const open = new Set<TransportConnection>()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const connection of open) connection.close(CloseCode.goingAway, "the server is shutting down")
    })
  )

  const requireRead = Effect.fnUntraced(function* (grant: Grant) {
    if (control.ask === undefined) return
    if (!(yield* control.ask(grant, { _tag: "Read", documentId: undefined }))) return yield* notAllowed
  })

  const connect = Effect.fn("Transports.connect")(function* (request: ClientRequest, transport: Transport) {
    const { url = "/" } = request
    const connection = new TransportConnection(transport)
    yield* Effect.acquireRelease(
      Effect.sync(() => open.add(connection)),
      () => Effect.sync(() => open.delete(connection))
    )
    const leave = ({ reason }: GrantEnded) => {
      if (reason === "revoked") return connection.close(CloseCode.tokenRefused, "the token was revoked")
      if (reason === "deleted") return connection.close(CloseCode.notFound, "the library was deleted")
      connection.close(CloseCode.tryAgainLater, "the library is suspended")
    }
    const target = isVerdantPath(url) ? undefined : parseTarget(url, documentPath)
    const documentId = target?.documentId
    if (!isVerdantPath(url) && documentId === undefined) {
      return yield* new ClientRefused({ message: "The URL names no document." })
    }
    const grant = yield* target === undefined
      ? admitVerdant(access, admission, request)
      : authenticate(access, request, { protocol: "secsync", token: target.token, documentId: documentId! })
    yield* admission.admit(grant, leave)
    if (target === undefined) yield* requireRead(grant)
    const refusal: Frame = target === undefined ? forbidden.frame : unauthorized
    const gate = yield* gateFor(control, connection, { grant, documentId, refusal, run, maxBufferedBytes })
    const session =
      target === undefined
        ? yield* libraries.openSocket(gate, grant)
        : yield* documents.open(gate, { grant, documentId: documentId!, mode: target.mode, known: target.known })
    if (session === undefined) return yield* notAllowed
    yield* Effect.forkScoped(
      Effect.andThen(
        access.ended(grant),
        Effect.sync(() => connection.close(CloseCode.tokenRefused, "the token has ended"))
      )
    )
    return (text: string) => (connection.isSentAway() ? Effect.void : receive(session, [text]))
  })

  const answer = Effect.fn("Transports.answer")(function* (request: ClientRequest, messages: ReadonlyArray<unknown>) {
    const grant = yield* admitVerdant(access, admission, request)
    yield* requireRead(grant)
    const answers: Array<string> = []
    const ends: Array<ClientRefused | TryAgainLater> = []
    const client = {
      id: randomBytes(12).toString("base64url"),
      isRealtime: false,
      send: (message: { readonly text: string }) => void answers.push(message.text),
      sendVolatile: () => {},
      hold: () => () => {},
      close: (code: CloseCode, message: string) => {
        ends.push(PASSING.has(code) ? new TryAgainLater({ message }) : new ClientRefused({ message }))
      },
      isSentAway: () => ends.length > 0
    }
    const session = yield* libraries.open(client, grant)
    yield* session.receive(messages.map((message) => decodeMessage(message, grant.userId)))
    const [end] = ends
    if (end !== undefined) return yield* end
    return answers as ReadonlyArray<string>
  }, Effect.scoped)

  return Transports.of({ connect, answer })
})

/** Codes for which the client is not to blame. */
const PASSING: ReadonlySet<CloseCode> = new Set([CloseCode.goingAway, CloseCode.internalError, CloseCode.tryAgainLater])

const notAllowed = new ClientRefused({ message: "The client may not use this library or document." })

/** Turns the frames of a session, which are those of a WebSocket, into texts. */
class TransportConnection implements Connection {
  readonly id = randomBytes(12).toString("base64url")
  private readonly transport: Transport
  private sentAway = false

  constructor(transport: Transport) {
    this.transport = transport
  }

  send(...frame: ReadonlyArray<Uint8Array>): void {
    if (!this.sentAway) this.transport.send(textOfFrame(frame))
  }

  sendVolatile(frame: Frame): void {
    this.send(frame)
  }

  hold(): () => void {
    return () => {}
  }

  close(code: number, reason: string): void {
    if (this.sentAway) return
    this.sentAway = true
    this.transport.close(code, reason)
  }

  isSentAway(): boolean {
    return this.sentAway
  }
}
