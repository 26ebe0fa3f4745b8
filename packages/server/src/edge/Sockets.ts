/** WebSockets: from an HTTP upgrade to a session, and the limits that hold whatever a client does. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { Cause, type Duration, Effect, type Fiber, FiberSet, Option, Schema, type Scope } from "effect"
import { type WebSocket, WebSocketServer } from "ws"
import { Access, type Grant, type TokenRefused } from "../Access.ts"
import { Administration, type GrantEnded } from "../Administration.ts"
import { DocumentId, SnapshotId } from "../domain/Ids.ts"
import type { StorageUnavailable } from "../EventLog.ts"
import { CloseCode, type Connection } from "../protocols/Connection.ts"
import { nothingKnown } from "../protocols/secsync/Document.ts"
import type { SessionRequest } from "../protocols/secsync/Session.ts"
import { SecsyncSessions } from "../protocols/secsync/Sessions.ts"
import { documentError, parseKnownClocks, unauthorized } from "../protocols/secsync/Wire.ts"
import { VerdantSessions } from "../protocols/verdant/Sessions.ts"
import { decodeText } from "../protocols/verdant/Wire.ts"
import { withPatience } from "../withPatience.ts"
import { Inbox } from "./Inbox.ts"
import { SocketConnection } from "./SocketConnection.ts"
import { admitVerdant, isVerdantPath, tokenOf } from "./VerdantGate.ts"

export interface SocketLimits {
  /** Largest frame a client may send, bytes. Default 32 MiB: a snapshot is one frame. */
  readonly maxFrameBytes: number
  /** Open sockets. Default 10,000; more are refused with 503. */
  readonly maxConnections: number
  /** Bytes that a client may be behind in receiving. Default 16 MiB; then it is closed with 1013 and comes back. */
  readonly maxBufferedBytes: number
  /** From the upgrade to the document being sent. Default 10 s. */
  readonly handshakeTimeout: Duration.Input
  /** From a request's head to the end of its body, when it uploads no file. Default 30 s. */
  readonly bodyTimeout: Duration.Input
  /** How often a client is pinged; one that missed two is dropped. Default 30 s. */
  readonly heartbeat: Duration.Input
}

export const defaultLimits: SocketLimits = {
  maxFrameBytes: 32 * 1024 * 1024,
  maxConnections: 10_000,
  maxBufferedBytes: 16 * 1024 * 1024,
  handshakeTimeout: "10 seconds",
  bodyTimeout: "30 seconds",
  heartbeat: "30 seconds"
}

/** How long a closing handshake may take, ms; while this process stands still as well. */
const CLOSE_TIMEOUT = 10_000

/** How long a shutdown waits until what clients have sent is answered, and as long again until they have gone. */
const GOODBYE_TIMEOUT = "3 seconds"

export interface Sockets {
  /** Node's `upgrade` event. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /**
   * Refuses upgrades, answers what has arrived, and closes every socket with 1001. What a client sent before it heard of
   * that is handled as well, though it cannot be answered any more: the real client forgets a snapshot that was under way
   * when its connection ended, and with it what its user wrote.
   */
  readonly close: Effect.Effect<void>
}

export const makeSockets = Effect.fnUntraced(function* (limits: SocketLimits) {
  const access = yield* Access
  const administration = yield* Administration
  const sessions = yield* SecsyncSessions
  const libraries = yield* VerdantSessions
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new WebSocketServer({
          noServer: true,
          clientTracking: true,
          maxPayload: limits.maxFrameBytes,
          // Sealed bytes do not compress, and decompression is a way to be attacked.
          perMessageDeflate: false,
          // A browser drops a connection that answers none of the protocols that it offered.
          handleProtocols: (offered) => (offered.has("Bearer") ? "Bearer" : false),
          // @ts-expect-error Known to ws 8.23, not yet to its types.
          closeTimeout: CLOSE_TIMEOUT
        })
    ),
    (server) => Effect.sync(() => server.close())
  )
  const fibers = yield* FiberSet.make<void, never>()
  const run = yield* FiberSet.runtime(fibers)()
  let accepting = true
  const live = new Map<WebSocket, Opened & { readonly inbox: Inbox }>()

  const openDocument =
    (target: Target): Open =>
    (connection) =>
      Effect.gen(function* () {
        if (target.documentId === undefined) {
          connection.send(documentError)
          return connection.close(CloseCode.policy, "the path names no document")
        }
        const grant = yield* access.verify(target.token)
        yield* administration.admit(grant, (ended) => void run(sendAway(connection, Cause.fail(ended))))
        const { documentId, mode, known } = target
        const session = yield* sessions.open(connection, { grant, documentId, mode, known })
        return session && { grant, receive: (texts) => session.receive(texts), answered: session.answered }
      })

  const openLibrary =
    (grant: Grant): Open =>
    (connection) =>
      Effect.gen(function* () {
        yield* administration.admit(grant, ({ reason }) => endGrant(connection, reason))
        const session = yield* libraries.open(
          {
            id: connection.id,
            isRealtime: true,
            send: (message) => connection.send(message.frame),
            sendVolatile: (message) => connection.sendVolatile(message.frame),
            close: (code, reason) => connection.close(code, reason),
            isSentAway: () => connection.isSentAway()
          },
          grant
        )
        const receive = (texts: ReadonlyArray<string>) =>
          session.receive(texts.map((text) => decodeText(text, grant.userId)))
        return { grant, receive, answered: Effect.void }
      })

  /** From the upgrade until the client has gone; for most of that it only waits for its grant to end. */
  const serve = Effect.fnUntraced(function* (ws: WebSocket, open: Open, connection: Connection, inbox: Inbox) {
    const opened = yield* Effect.timeoutOption(open(connection), limits.handshakeTimeout)
    if (Option.isNone(opened)) return connection.close(CloseCode.tryAgainLater, "the server is too busy")
    const session = opened.value
    if (!session) return
    yield* Effect.acquireRelease(
      Effect.sync(() => live.set(ws, { ...session, inbox })),
      () => Effect.sync(() => live.delete(ws))
    )
    inbox.open((texts) => Effect.catchCause(session.receive(texts), (cause) => sendAway(connection, cause)))
    yield* access.ended(session.grant)
    connection.close(CloseCode.tokenRefused, "the token has ended")
  })

  const onConnection = (ws: WebSocket, socket: Duplex, open: Open): void => {
    let life: Fiber.Fiber<void> | undefined
    const inbox = new Inbox(ws, { run, onOver: () => life?.interruptUnsafe() })
    const connection = new SocketConnection(ws, socket, {
      maxBufferedBytes: limits.maxBufferedBytes,
      onSentAway: () => inbox.stop()
    })
    life = run(
      serve(ws, open, connection, inbox).pipe(
        Effect.scoped,
        Effect.catchCause((cause) => sendAway(connection, cause))
      )
    )
    // What is wrong with a frame, ws answers itself with 1002, 1007 or 1009; without a listener it would be thrown.
    ws.on("error", ignore)
  }

  const beat = Effect.sync(() => {
    for (const ws of server.clients) {
      if (unanswered.has(ws)) {
        ws.terminate()
      } else {
        unanswered.add(ws)
        ws.ping()
      }
    }
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(limits.heartbeat), beat)))

  const accept = (request: IncomingMessage, socket: Duplex, head: Buffer, open: Open): void =>
    server.handleUpgrade(request, socket, head, (ws) => {
      ws.on("pong", answerPing)
      onConnection(ws, socket, open)
    })

  /** Refused before it is a WebSocket: a Verdant client then gets itself a new token. */
  const upgradeVerdant = (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    admitVerdant(access, administration, tokenOf(request)).pipe(
      Effect.scoped,
      Effect.timeout(limits.handshakeTimeout),
      Effect.map((grant) => {
        if (socket.destroyed) return
        if (isPolling(grant)) return refuseUpgrade(socket, "403 Forbidden")
        accept(request, socket, head, openLibrary(grant))
      }),
      Effect.catchTag(["TokenRefused", "GrantEnded"], () =>
        Effect.sync(() => refuseUpgrade(socket, "401 Unauthorized"))
      ),
      Effect.catchTag(["StorageUnavailable", "TimeoutError"], () =>
        Effect.sync(() => refuseUpgrade(socket, "503 Service Unavailable"))
      ),
      Effect.ensuring(
        Effect.sync(() => {
          admitting -= 1
        })
      )
    )
  /** Upgrades whose tokens are being looked at: they count as connections. */
  let admitting = 0

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (!accepting || server.clients.size + admitting >= limits.maxConnections)
      return refuseUpgrade(socket, "503 Service Unavailable")
    socket.on("error", destroy)
    if (isVerdantPath(request.url ?? "/")) {
      admitting += 1
      return void run(upgradeVerdant(request, socket, head))
    }
    const target = parseTarget(request.url ?? "/")
    if (target === undefined) return refuseUpgrade(socket, "400 Bad Request")
    accept(request, socket, head, openDocument(target))
  }

  const goodbye = Effect.fnUntraced(function* (ws: WebSocket) {
    const found = live.get(ws)
    if (found !== undefined) {
      const answered = Effect.andThen(found.inbox.handled, found.answered)
      yield* withPatience(answered, GOODBYE_TIMEOUT)
    }
    ws.close(CloseCode.goingAway, "the server is shutting down")
  })

  const close = Effect.gen(function* () {
    accepting = false
    yield* Effect.forEach(server.clients, goodbye, { concurrency: "unbounded", discard: true })
    // A session ends once its client has gone and all that it sent is handled.
    yield* withPatience(FiberSet.awaitEmpty(fibers), GOODBYE_TIMEOUT)
    for (const ws of server.clients) ws.terminate()
    yield* FiberSet.clear(fibers)
  })

  return { upgrade, close } satisfies Sockets
})

/** What a protocol makes of a connection; nothing when it sent the client away. */
type Open = (
  connection: Connection
) => Effect.Effect<Opened | undefined | void, TokenRefused | GrantEnded | StorageUnavailable, Scope.Scope>

interface Opened {
  readonly grant: Grant
  /** Handles text frames in their order; done when the next may be handled. */
  readonly receive: (texts: ReadonlyArray<string>) => Effect.Effect<void, StorageUnavailable>
  /** Waits until what was received is answered. */
  readonly answered: Effect.Effect<void>
}

/** Verdant's kinds of clients that are to poll and not to hold a socket: push, passive push, read-only pull. */
const isPolling = ({ replicaType }: Grant): boolean => replicaType === 1 || replicaType === 3 || replicaType === 4

const endGrant = (connection: Connection, reason: GrantEnded["reason"]): void =>
  reason === "suspended"
    ? connection.close(CloseCode.tryAgainLater, "the library is suspended")
    : connection.close(CloseCode.tokenRefused, "the token was revoked")

/** Sockets that were pinged and have not answered. */
const unanswered = new WeakSet<WebSocket>()

// Listeners that are the same for all sockets.
function answerPing(this: WebSocket): void {
  unanswered.delete(this)
}
function destroy(this: Duplex): void {
  this.destroy()
}
const ignore = (): void => {}

// ---------------------------------------------------------------------------------------------------- the request

interface Target {
  /** undefined: the path names nothing that can be a document. */
  readonly documentId: DocumentId | undefined
  readonly token: string
  readonly mode: "complete" | "delta"
  readonly known: SessionRequest["known"]
}

const decodeDocumentId = Schema.decodeUnknownOption(DocumentId)
const decodeSnapshotId = Schema.decodeUnknownOption(SnapshotId)

/** `/<documentId>?sessionKey=…&mode=…&knownSnapshotId=…&knownSnapshotUpdateClocks=…` */
const parseTarget = (url: string): Target | undefined => {
  let path: string
  let query: URLSearchParams
  try {
    const parsed = new URL(url, "ws://server")
    path = decodeURIComponent(parsed.pathname.slice(1))
    query = parsed.searchParams
  } catch {
    return undefined
  }
  const snapshotId = Option.getOrUndefined(decodeSnapshotId(query.get("knownSnapshotId")))
  return {
    documentId: Option.getOrUndefined(decodeDocumentId(path)),
    token: query.get("sessionKey") ?? "",
    mode: query.get("mode") === "delta" ? "delta" : "complete",
    known:
      snapshotId === undefined
        ? nothingKnown
        : { snapshotId, clocks: parseKnownClocks(query.get("knownSnapshotUpdateClocks")) }
  }
}

/** Nobody reads the socket any more, so it would not be noticed that its client goes, or that it does not. */
const refuseUpgrade = (socket: Duplex, status: string): void => {
  socket.on("error", destroy)
  socket.once("finish", destroy)
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

// --------------------------------------------------------------------------------------------------- being sent away

const sendAway = (
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
