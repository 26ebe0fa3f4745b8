/** All WebSockets of the server: each is upgraded, accepted, served by its protocol's session, and closed. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { Cause, Clock, Effect, Exit, FiberSet, Scope } from "effect"
import { type RawData, type WebSocket, WebSocketServer } from "ws"
import type { DocumentId } from "../../domain/Ids.ts"
import { isMemoryShort } from "../../internal/MemoryPressure.ts"
import { shownName } from "../../internal/shownName.ts"
import { withPatience } from "../../internal/timeouts.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import { Access, type Grant, ReplicaType, reachesDocument, type TokenRefused } from "../../ports/Access.ts"
import { Connections, type OpenConnection } from "../../ports/Connections.ts"
import { CloseCode, type Connection } from "../../protocols/Connection.ts"
import type { ProtocolSession } from "../../protocols/ProtocolSession.ts"
import { documentPathOf, parseTarget, type Target } from "../../protocols/secsync/ConnectionUrl.ts"
import { SecsyncSessions } from "../../protocols/secsync/Sessions.ts"
import { documentError, documentNotFound, unauthorized } from "../../protocols/secsync/Wire.ts"
import { isVerdantPath } from "../../protocols/verdant/ConnectionUrl.ts"
import { VerdantSessions } from "../../protocols/verdant/Sessions.ts"
import { forbidden } from "../../protocols/verdant/Wire.ts"
import { AccessControl } from "../../rooms/AccessControl.ts"
import { AdmissionControl, type GrantEnded } from "../../rooms/AdmissionControl.ts"
import type { AddressLimits } from "../AddressLimits.ts"
import { admitVerdant } from "../admitVerdant.ts"
import { authenticate } from "../authenticate.ts"
import { type Budgets, userOf } from "../Budgets.ts"
import { makeConnectionLog } from "../ConnectionLog.ts"
import type { SocketLimits } from "../Limits.ts"
import type { Origins } from "../Origins.ts"
import { ClientSocket, type ClientSocketServices, type CloseReason, SHUTDOWN_TIMEOUT } from "./ClientSocket.ts"
import { gateFor, ReceiveGate } from "./ReceiveGate.ts"
import { HeldGrant, RefreshableSession, type RefreshedConnection } from "./TokenRefresh.ts"
import { trafficOf } from "./Traffic.ts"
import { refuseUpgrade as answerRefused, destroyOnError, type Upgrade } from "./Upgrade.ts"

export interface WebSockets {
  readonly connections: Connections["Service"]
  /** Handles Node's `upgrade` event. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /**
   * Refuses upgrades, answers the frames that have arrived, and closes every socket with 1001. A frame that arrives after
   * that is still handled, though it cannot be answered: if a connection ends while a snapshot is on its way, the Secsync
   * client forgets the snapshot and what its user wrote in it.
   */
  readonly close: Effect.Effect<void>
}

/** How long a closing handshake may take, ms. It covers a time in which this process itself stands still. */
const CLOSE_TIMEOUT = 10_000
/** Refused clients that may take their time to close. Above it, the oldest is dropped. */
const MAX_REFUSED = 1000

export const makeWebSockets = Effect.fnUntraced(function* (
  limits: SocketLimits,
  origins: Origins,
  addresses: AddressLimits,
  budgets: Budgets,
  secsyncPath: string | undefined
) {
  const documentPath = documentPathOf(secsyncPath ?? "")
  const access = yield* Access
  const admissionControl = yield* AdmissionControl
  const accessControl = yield* AccessControl
  const documents = yield* SecsyncSessions
  const libraries = yield* VerdantSessions
  const log = yield* makeConnectionLog
  const clock = yield* Clock.Clock
  const server = yield* makeServer(limits)
  const running = yield* Scope.fork(yield* Effect.scope)
  const fibers = yield* Scope.provide(FiberSet.make<void, never>(), running)
  const run = yield* FiberSet.runtime(fibers)()
  const libraryClients: ClientSocketServices = {
    ...budgets,
    ...{ run, log },
    maxFrameBytes: limits.maxFrameBytes,
    maxBufferedBytes: limits.maxBufferedBytes,
    traffic: trafficOf("verdant"),
    missing: forbidden.frame
  }
  const documentClients: ClientSocketServices = {
    ...libraryClients,
    unauthorized,
    traffic: trafficOf("secsync"),
    missing: documentNotFound
  }
  const refreshing = { access, admission: admissionControl }
  const gates = { maxBufferedBytes: limits.maxBufferedBytes, run: (effect: Effect.Effect<void>) => void run(effect) }

  const clients = new Map<WebSocket, ClientSocket>()
  /** Clients that were admitted. */
  let served = 0
  const admitted = new Map<ClientSocket, Pick<Opened, "held" | "documentId"> & { readonly openedAt: number }>()
  /** Clients that were not admitted and have not closed yet, the oldest first. */
  const refused = new Set<ClientSocket>()
  /** Upgrades whose tokens are checked before there is a socket. */
  let upgrading = 0
  const handshakes = () => clients.size - served - refused.size + upgrading
  let isClosing = false
  const servedOf = { secsync: 0, verdant: 0 }
  for (const protocol of Metrics.PROTOCOLS) yield* Metrics.connections.at({ protocol }).read(() => servedOf[protocol])
  yield* Metrics.handshakes.at({}).read(handshakes)
  yield* Metrics.refusedConnections.at({}).read(() => refused.size)

  // ---- upgrade

  const refuseUpgrade = (socket: Duplex, status: string, reason: Metrics.RefusalReason): void => {
    if (log.isOn) log.line("connection refused", { status, reason })
    answerRefused(socket, status, reason)
  }

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const lack = lackOf()
    if (lack !== undefined) return refuseUpgrade(socket, "503 Service Unavailable", lack)
    const refusal = origins.refusalOf(request)
    if (refusal !== undefined) return refuseUpgrade(socket, refusal, "origin")
    const release = addresses.takeForwarded(request)
    if (release === undefined) return refuseUpgrade(socket, "429 Too Many Requests", "address_connections")
    socket.once("close", release)
    const settle = addresses.takeHandshake(request)
    if (settle === undefined) return refuseUpgrade(socket, "429 Too Many Requests", "address_handshakes")
    socket.once("close", settle)
    destroyOnError(socket)
    const upgrade: Upgrade = {
      ...{ request, socket, head },
      settle: () => {
        settle()
        socket.off("close", settle)
      }
    }
    if (isVerdantPath(request.url ?? "/")) return void run(upgradeVerdant(upgrade))
    const target = parseTarget(request.url ?? "/", documentPath)
    if (target === undefined) return refuseUpgrade(socket, "400 Bad Request", "path")
    accept(upgrade, documentClients, openDocument(request, target))
  }

  /** Why no client can be admitted now; undefined: one can. */
  const lackOf = (): Metrics.RefusalReason | undefined => {
    if (isClosing) return "shutdown"
    if (served >= limits.maxConnections) return "connections"
    if (handshakes() >= limits.maxHandshakes) return "handshakes"
    return isMemoryShort() ? "memory" : undefined
  }

  /** Checks the token before the upgrade: on a 401, a Verdant client fetches a new token. */
  const upgradeVerdant = (upgrade: Upgrade): Effect.Effect<void> => {
    const refuse = (status: string, reason: Metrics.RefusalReason) =>
      Effect.sync(() => refuseUpgrade(upgrade.socket, status, reason))
    upgrading += 1
    return admitVerdant(access, admissionControl, upgrade.request).pipe(
      Effect.scoped,
      Effect.flatMap((grant) => Effect.map(mayRead(grant), (isAllowed) => ({ grant, isAllowed }))),
      Effect.timeout(limits.handshakeTimeout),
      Effect.map(({ grant, isAllowed }) => {
        if (upgrade.socket.destroyed) return
        if (isPolling(grant) || !isAllowed) return refuseUpgrade(upgrade.socket, "403 Forbidden", "policy")
        accept(upgrade, libraryClients, openLibrary(grant))
      }),
      Effect.catchTag(["TokenRefused", "GrantEnded"], ({ reason }) => refuse(...refusalOf(reason))),
      Effect.catchTag(["StorageUnavailable", "AccessUndecided", "TimeoutError"], () =>
        refuse("503 Service Unavailable", "unavailable")
      ),
      Effect.ensuring(
        Effect.sync(() => {
          upgrading -= 1
        })
      )
    )
  }

  const mayRead = (grant: Grant) =>
    accessControl.ask === undefined
      ? Effect.succeed(true)
      : accessControl.ask(grant, { _tag: "Read", documentId: undefined })

  // ---- accept

  const accept = ({ request, socket, head, settle }: Upgrade, services: ClientSocketServices, open: Open): void =>
    server.handleUpgrade(request, socket, head, (ws) => {
      const client = new ClientSocket(ws, request.socket, services)
      clients.set(ws, client)
      ws.on("message", listeners.message).on("close", listeners.close).on("error", listeners.error)
      client.open(Effect.ensuring(serve(client, open), Effect.sync(settle)))
    })

  /** The same listeners for all sockets, so that an idle socket takes little memory. */
  const listeners = {
    message(this: WebSocket, data: RawData, isBinary: boolean): void {
      clients.get(this)?.receive(data, isBinary)
    },
    close(this: WebSocket, code: number): void {
      const client = clients.get(this)
      clients.delete(this)
      if (client === undefined) return
      if (client.isServed) {
        served -= 1
        servedOf[client.protocol] -= 1
      }
      admitted.delete(client)
      refused.delete(client)
      client.closed(code)
    },
    // `ws` itself closes with 1002, 1007 or 1009 for a frame that breaks the protocol. Without a listener it would throw.
    error(this: WebSocket, error: Error): void {
      clients.get(this)?.broken(error)
    }
  }

  // ---- serve

  /** Opens the session within the handshake's timeout, and then serves the client until it goes or its grant ends. */
  const serve = (client: ClientSocket, open: Open): Effect.Effect<void, CloseReason> => {
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
        if (!opened) return Effect.andThen(Scope.close(scope, exit), refuse(client))
        if (served >= limits.maxConnections) {
          connection.close(CloseCode.tryAgainLater, "the server is too busy")
          return Effect.andThen(Scope.close(scope, exit), refuse(client))
        }
        if (clients.has(client.ws)) {
          served += 1
          servedOf[client.protocol] += 1
          admitted.set(client, {
            ...{ held: opened.held, documentId: opened.documentId },
            openedAt: clock.currentTimeMillisUnsafe()
          })
          Metrics.connectionsOpened.at({ protocol: client.protocol }).add()
          if (log.isOn) log.line("connection opened", fieldsOf(client, opened.held.grant))
        }
        // In a fiber of its own, so that an idle client does not keep the memory of its opening.
        const { held, mismatchOf, session } = opened
        const untilEnd = () => untilGrantEnds(connection, held, scope)
        const replaced = () =>
          Effect.andThen(
            Effect.sync(() => client.awaitAnew(untilEnd())),
            opened.askAgain
          )
        const refreshable = new RefreshableSession(session, refreshing, { connection, held, mismatchOf, replaced })
        return Effect.sync(() => client.serve({ session: refreshable, user: userOf(held.grant) }, untilEnd()))
      }),
      Effect.asVoid
    )
  }

  /** A refused client has the time of a closing handshake, unless many others are refused after it. */
  const refuse = (client: ClientSocket) =>
    Effect.sync(() => {
      if (!clients.has(client.ws)) return
      refused.add(client)
      const [oldest] = refused
      if (refused.size > MAX_REFUSED) oldest?.terminate(Metrics.CLOSE_REASONS.refusedTooLong)
    })

  const openDocument =
    (request: IncomingMessage, target: Target): Open =>
    (client) =>
      Effect.gen(function* () {
        const { connection } = client
        if (target.documentId === undefined) {
          connection.send(documentError)
          connection.close(CloseCode.policy, "the path names no document")
          return yield* logRefusedName(request, target)
        }
        const { documentId: asked, token } = target
        const held = new HeldGrant(
          yield* authenticate(access, request, { protocol: "secsync", token, documentId: asked })
        )
        const { grant } = held
        yield* admissionControl.admit(grant, leave(client))
        const { documentId, mode, known } = target
        const gate = yield* gateFor(accessControl, connection, { ...gates, grant, documentId, refusal: unauthorized })
        const session = yield* documents.open(gate, { grant, documentId, mode, known })
        const mismatchOf = (next: Grant) =>
          reachesDocument(next, documentId) ? undefined : "the token does not reach the document"
        return session && { held, session, documentId, mismatchOf, askAgain: askAgain(gate) }
      })

  /** Names in the log what a user's client asked for. A client without rights could fill the log. */
  const logRefusedName = (request: IncomingMessage, { name, token }: Target) =>
    authenticate(access, request, { protocol: "secsync", token }).pipe(
      Effect.flatMap(({ libraryId, userId }) =>
        Effect.logWarning(`A client asked for a document whose id is not valid: ${shownName(name)}`).pipe(
          Effect.annotateLogs({ libraryId, userId })
        )
      ),
      Effect.ignore
    )

  const openLibrary =
    (verified: Grant): Open =>
    (client) =>
      Effect.gen(function* () {
        const held = new HeldGrant(verified)
        const { grant } = held
        yield* admissionControl.admit(grant, leave(client))
        const options = { ...gates, grant, documentId: undefined, refusal: forbidden.frame }
        const gate = yield* gateFor(accessControl, client.connection, options)
        const session = yield* libraries.openSocket(gate, grant)
        const mismatchOf = (next: Grant) =>
          next.documents !== undefined || isPolling(next)
            ? "the token is not for a connection to the library"
            : undefined
        return session && { held, session, documentId: undefined, mismatchOf, askAgain: askAgain(gate) }
      })

  /** Ends when the client goes or its grant ends. After a new token it is interrupted, and another one waits in its place. */
  const untilGrantEnds = (connection: Connection, held: HeldGrant, scope: Scope.Closeable) =>
    Effect.suspend(() => {
      const { replacements } = held
      return access.ended(held.grant).pipe(
        Effect.andThen(Effect.sync(() => connection.close(CloseCode.tokenRefused, "the token has ended"))),
        Effect.onExit((exit) => (held.replacements === replacements ? Scope.close(scope, exit) : Effect.void))
      )
    })

  const leave = (client: ClientSocket) => (ended: GrantEnded) => void run(client.closeFor(Cause.fail(ended)))

  const pingAll = Effect.sync(() => {
    for (const client of clients.values()) client.ping()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(limits.heartbeat), pingAll)))

  // ---- operators

  const describe = (client: ClientSocket): OpenConnection => {
    const { documentId, held, openedAt } = admitted.get(client)!
    const { expiresAt, libraryId, tokenId, userId } = held.grant
    const waitingBytes = client.ws.bufferedAmount
    const isLeaving = client.connection.isSentAway()
    return {
      id: client.connection.id,
      protocol: client.protocol,
      libraryId,
      userId,
      documentId,
      tokenId,
      openedAt,
      waitingBytes,
      endsAt: expiresAt * 1000,
      state: isLeaving ? "leaving" : waitingBytes > 0 ? "behind" : "live"
    }
  }
  const connections = Connections.of({
    list: () => Array.from(admitted.keys(), describe),
    disconnect: (matches) => {
      const found = Array.from(admitted.keys()).filter((client) => matches(describe(client)))
      for (const { connection } of found) {
        connection.close(CloseCode.tryAgainLater, "an operator closed the connection")
      }
      return found.length
    }
  })

  // ---- close

  const close = Effect.gen(function* () {
    isClosing = true
    yield* Effect.forEach(clients.values(), (client) => client.shutDown, { concurrency: "unbounded", discard: true })
    // The fibers of a client end once it has closed its side and all its frames are handled.
    yield* withPatience(FiberSet.awaitEmpty(fibers), SHUTDOWN_TIMEOUT)
    for (const client of clients.values()) client.terminate(Metrics.CLOSE_REASONS.shuttingDown)
    // Nothing runs from here on. If the fibers alone ended, messages of clients who left would be handled next.
    yield* Scope.close(running, Exit.void)
  })

  return { connections, upgrade, close } satisfies WebSockets
})

const fieldsOf = ({ connection, protocol }: ClientSocket, { libraryId, tokenId, userId }: Grant) => ({
  ...{ session: connection.id, protocol, library: libraryId, user: userId, token: tokenId }
})

/** On a 401, a Verdant client fetches a new token, which does not help it if the library was deleted. */
const refusalOf = (
  reason: TokenRefused["reason"] | GrantEnded["reason"]
): readonly [status: string, reason: Metrics.RefusalReason] => {
  switch (reason) {
    case "unavailable":
      return ["503 Service Unavailable", "unavailable"]
    case "deleted":
      return ["403 Forbidden", "deleted"]
    default:
      return ["401 Unauthorized", "token"]
  }
}

/** Opens a protocol's session for a client; undefined if that closed the connection. */
type Open = (client: ClientSocket) => Effect.Effect<Opened | undefined | void, CloseReason, Scope.Scope>

interface Opened extends Pick<RefreshedConnection, "held" | "mismatchOf"> {
  readonly session: ProtocolSession
  readonly documentId: DocumentId | undefined
  /** Asks the policy whether the client may still receive. */
  readonly askAgain: Effect.Effect<void>
}

const askAgain = (gate: Connection): Effect.Effect<void> =>
  gate instanceof ReceiveGate ? Effect.suspend(() => gate.askAgain()) : Effect.void

const makeServer = (limits: SocketLimits) =>
  Effect.acquireRelease(
    Effect.sync(
      () =>
        new WebSocketServer({
          noServer: true,
          // `makeWebSockets` keeps the sockets itself.
          clientTracking: false,
          maxPayload: limits.maxFrameBytes,
          // Sealed bytes do not compress, and decompression can be attacked with frames that expand.
          perMessageDeflate: false,
          // A browser drops a connection that accepts none of the subprotocols it offered.
          handleProtocols: (offered) => (offered.has("Bearer") ? "Bearer" : false),
          // @ts-expect-error `ws` 8.23 has this option, its types do not.
          closeTimeout: CLOSE_TIMEOUT
        })
    ),
    (server) => Effect.sync(() => server.close())
  )

/** Whether Verdant's client is of a type that polls and must not hold a socket. */
const isPolling = ({ replicaType }: Grant): boolean =>
  replicaType === ReplicaType.push ||
  replicaType === ReplicaType["passive-push"] ||
  replicaType === ReplicaType["read-only-pull"]
