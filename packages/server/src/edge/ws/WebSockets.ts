/** WebSockets: from an HTTP upgrade to a session, and the limits that hold whatever a client does. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { Cause, Effect, Exit, FiberSet, Scope } from "effect"
import { type RawData, type WebSocket, WebSocketServer } from "ws"
import { withPatience } from "../../internal/timeouts.ts"
import { Access, type Grant, type TokenRefused } from "../../ports/Access.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { CloseCode, type Connection } from "../../protocols/Connection.ts"
import type { ProtocolSession } from "../../protocols/ProtocolSession.ts"
import { parseTarget, type Target } from "../../protocols/secsync/ConnectionUrl.ts"
import { SecsyncSessions } from "../../protocols/secsync/Sessions.ts"
import { documentError, unauthorized } from "../../protocols/secsync/Wire.ts"
import { isVerdantPath } from "../../protocols/verdant/ConnectionUrl.ts"
import { VerdantSessions } from "../../protocols/verdant/Sessions.ts"
import { decodeText } from "../../protocols/verdant/Wire.ts"
import { AdmissionControl, type GrantEnded } from "../../rooms/AdmissionControl.ts"
import { admitVerdant, tokenOf } from "../admitVerdant.ts"
import type { SocketLimits } from "../Limits.ts"
import type { MemoryBudget } from "../MemoryBudget.ts"
import { ClientSocket, type ClientSocketServices, GOODBYE_TIMEOUT } from "./ClientSocket.ts"

/** How long a closing handshake may take, ms; while this process stands still as well. */
const CLOSE_TIMEOUT = 10_000

export interface WebSockets {
  /** Node's `upgrade` event. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /**
   * Refuses upgrades, answers what has arrived, and closes every socket with 1001. What a client sent before it heard of
   * that is handled as well, though it cannot be answered any more: the real client forgets a snapshot that was under way
   * when its connection ended, and with it what its user wrote.
   */
  readonly close: Effect.Effect<void>
}

export const makeWebSockets = Effect.fnUntraced(function* (limits: SocketLimits, largeMessages: MemoryBudget) {
  const access = yield* Access
  const administration = yield* AdmissionControl
  const sessions = yield* SecsyncSessions
  const libraries = yield* VerdantSessions
  const server = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new WebSocketServer({
          noServer: true,
          // They are in `clients`.
          clientTracking: false,
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
  const libraryClients: ClientSocketServices = { run, maxBufferedBytes: limits.maxBufferedBytes, largeMessages }
  const documentClients: ClientSocketServices = { ...libraryClients, unauthorized }
  const clients = new Map<WebSocket, ClientSocket>()

  const openDocument =
    (target: Target): Open =>
    (client) =>
      Effect.gen(function* () {
        const { connection } = client
        if (target.documentId === undefined) {
          connection.send(documentError)
          return connection.close(CloseCode.policy, "the path names no document")
        }
        const grant = yield* access.verify(target.token)
        yield* administration.admit(grant, leaving(client))
        const { documentId, mode, known } = target
        const session = yield* sessions.open(connection, { grant, documentId, mode, known })
        return session && { grant, session }
      })

  const leaving = (client: ClientSocket) => (ended: GrantEnded) => void run(client.sendAway(Cause.fail(ended)))

  const openLibrary =
    (grant: Grant): Open =>
    (client) =>
      Effect.gen(function* () {
        const { connection } = client
        yield* administration.admit(grant, leaving(client))
        const session = yield* libraries.open(
          {
            id: connection.id,
            isRealtime: true,
            send: (message) => connection.send(...message.pieces),
            sendVolatile: (message) => connection.sendVolatile(message.frame),
            close: (code, reason) => connection.close(code, reason),
            isSentAway: () => connection.isSentAway()
          },
          grant
        )
        const receive = (texts: ReadonlyArray<string>) =>
          session.receive(texts.map((text) => decodeText(text, grant.userId)))
        return { grant, session: { receive, answered: Effect.void } }
      })

  /** What the opening was made of is not kept: from then on the client takes a fiber that waits for its grant to end. */
  const serve = (client: ClientSocket, open: Open) => {
    const { connection } = client
    const scope = Scope.makeUnsafe()
    return open(client).pipe(
      Scope.provide(scope),
      Effect.timeoutOrElse({
        duration: limits.handshakeTimeout,
        orElse: () => Effect.sync(() => connection.close(CloseCode.tryAgainLater, "the server is too busy"))
      }),
      Effect.onExit((exit) => {
        const opened = Exit.isSuccess(exit) ? exit.value : undefined
        if (!opened) return Scope.close(scope, exit)
        return Effect.sync(() => client.begin(opened.session, stay(connection, opened.grant, scope)))
      }),
      Effect.asVoid
    )
  }

  const stay = (connection: Connection, grant: Grant, scope: Scope.Closeable) =>
    access.ended(grant).pipe(
      Effect.andThen(Effect.sync(() => connection.close(CloseCode.tokenRefused, "the token has ended"))),
      Effect.onExit((exit) => Scope.close(scope, exit))
    )

  // Listeners that are the same for all sockets.
  const listeners = {
    message(this: WebSocket, data: RawData, isBinary: boolean): void {
      clients.get(this)?.inbox.receive(data, isBinary)
    },
    close(this: WebSocket): void {
      const client = clients.get(this)
      clients.delete(this)
      client?.inbox.end()
    },
    // What is wrong with a frame, ws answers itself with 1002, 1007 or 1009; without a listener it would be thrown.
    error(): void {}
  }

  const beat = Effect.sync(() => {
    for (const client of clients.values()) client.ping()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(limits.heartbeat), beat)))

  const accept = ({ request, socket, head }: Upgrade, services: ClientSocketServices, open: Open): void =>
    server.handleUpgrade(request, socket, head, (ws) => {
      const client = new ClientSocket(ws, request.socket, services)
      clients.set(ws, client)
      ws.on("message", listeners.message).on("close", listeners.close).on("error", listeners.error)
      client.open(serve(client, open))
    })

  /** Refused before it is a WebSocket: a Verdant client then gets itself a new token. */
  const upgradeVerdant = (upgrade: Upgrade) =>
    admitVerdant(access, administration, tokenOf(upgrade.request)).pipe(
      Effect.scoped,
      Effect.timeout(limits.handshakeTimeout),
      Effect.map((grant) => {
        if (upgrade.socket.destroyed) return
        if (isPolling(grant)) return refuseUpgrade(upgrade.socket, "403 Forbidden")
        accept(upgrade, libraryClients, openLibrary(grant))
      }),
      Effect.catchTag(["TokenRefused", "GrantEnded"], () =>
        Effect.sync(() => refuseUpgrade(upgrade.socket, "401 Unauthorized"))
      ),
      Effect.catchTag(["StorageUnavailable", "TimeoutError"], () =>
        Effect.sync(() => refuseUpgrade(upgrade.socket, "503 Service Unavailable"))
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
    if (!accepting || clients.size + admitting >= limits.maxConnections)
      return refuseUpgrade(socket, "503 Service Unavailable")
    socket.on("error", destroy)
    if (isVerdantPath(request.url ?? "/")) {
      admitting += 1
      return void run(upgradeVerdant({ request, socket, head }))
    }
    const target = parseTarget(request.url ?? "/")
    if (target === undefined) return refuseUpgrade(socket, "400 Bad Request")
    accept({ request, socket, head }, documentClients, openDocument(target))
  }

  const close = Effect.gen(function* () {
    accepting = false
    yield* Effect.forEach(clients.values(), (client) => client.goodbye, { concurrency: "unbounded", discard: true })
    // A session ends once its client has gone and all that it sent is handled.
    yield* withPatience(FiberSet.awaitEmpty(fibers), GOODBYE_TIMEOUT)
    for (const client of clients.values()) client.terminate()
    yield* FiberSet.clear(fibers)
  })

  return { upgrade, close } satisfies WebSockets
})

interface Upgrade {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
}

/** What a protocol makes of a client; nothing when it sent the client away. */
type Open = (
  client: ClientSocket
) => Effect.Effect<Opened | undefined | void, TokenRefused | GrantEnded | StorageUnavailable, Scope.Scope>

interface Opened {
  readonly grant: Grant
  readonly session: ProtocolSession
}

/** Verdant's kinds of clients that are to poll and not to hold a socket: push, passive push, read-only pull. */
const isPolling = ({ replicaType }: Grant): boolean => replicaType === 1 || replicaType === 3 || replicaType === 4

function destroy(this: Duplex): void {
  this.destroy()
}

/** Nobody reads the socket any more, so it would not be noticed that its client goes, or that it does not. */
const refuseUpgrade = (socket: Duplex, status: string): void => {
  socket.on("error", destroy)
  socket.once("finish", destroy)
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
