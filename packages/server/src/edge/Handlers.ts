/**
 * The listeners of Node's events that make a server: `connection`, `request` and `upgrade`. They hold every limit of the edge,
 * on a server of Sealog's own and on the server of an app.
 */
import type { IncomingMessage, RequestListener, ServerOptions } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, FiberSet, Layer, Option, Scope } from "effect"
import { HttpRouter } from "effect/http"
import { withPatience } from "../internal/timeouts.ts"
import { watchEventLoop } from "../metrics/EventLoopDelay.ts"
import { showMetrics } from "../metrics/Family.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { BlobStore } from "../ports/BlobStore.ts"
import { Connections } from "../ports/Connections.ts"
import { DocumentRooms } from "../protocols/secsync/Rooms.ts"
import { FileLinks } from "../protocols/verdant/files/FileLinks.ts"
import { defaultFileOptions } from "../protocols/verdant/files/FileOptions.ts"
import { sweepOrphanedBlobsDaily } from "../protocols/verdant/files/OrphanedBlobs.ts"
import { LibraryRooms } from "../protocols/verdant/Rooms.ts"
import { refuseStandby } from "../rooms/LogEpoch.ts"
import { makeAddressLimits } from "./AddressLimits.ts"
import { makeBudgets } from "./Budgets.ts"
import { parseTrustedProxies } from "./ClientAddress.ts"
import { makeConnectionLog } from "./ConnectionLog.ts"
import type { EdgeOptions } from "./EdgeOptions.ts"
import { makeChangesRoute } from "./http/ChangesRoute.ts"
import { FileRoutes, NoFileRoutes } from "./http/files/FileRoutes.ts"
import { admitRequests } from "./http/RequestAdmission.ts"
import { withRequestId } from "./http/RequestId.ts"
import { endSlowBodies, endStalledAnswers, endTricklingAnswers } from "./http/RequestTimeouts.ts"
import { VerdantPollRoute } from "./http/VerdantPollRoute.ts"
import { defaultLimits } from "./Limits.ts"
import { parseOrigins } from "./Origins.ts"
import { refuseUpgrade } from "./ws/Upgrade.ts"
import { makeWebSockets } from "./ws/WebSockets.ts"

/** How long a shutdown waits for pending commits. */
const DRAIN_TIMEOUT = "5 seconds"
/** Time for a request's head to arrive, ms. */
export const HEADERS_TIMEOUT = 10_000
/** Largest request head. A URL carries a token and the clocks of a document's authors, about 60 bytes each. */
export const MAX_HEADER_BYTES = 64 * 1024
/** Longest name in a path, in UTF-16 units: a library id has at most 200 characters. A longer one is answered with 404. */
const MAX_NAME_LENGTH = 400

/** The settings of Node's HTTP server that no handler can make: they hold before a request has arrived. */
export const nodeServerOptions = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: HEADERS_TIMEOUT,
  connectionsCheckingInterval: HEADERS_TIMEOUT / 2,
  keepAliveTimeout: 5_000
} as const satisfies ServerOptions

export interface Handlers {
  readonly connections: Connections["Service"]
  /** Refuses a TCP connection of an address that has too many. */
  readonly connection: (socket: Socket) => void
  readonly request: RequestListener
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /**
   * Refuses what comes from now on, answers what has come, closes the sockets and waits for pending commits. The storage
   * closes after it.
   */
  readonly close: Effect.Effect<void>
}

/** `routes`: what is served besides Verdant's polls and files. */
export const makeHandlers = Effect.fnUntraced(function* <R>(
  options: EdgeOptions,
  routes: Layer.Layer<never, never, R>
) {
  yield* refuseStandby
  const scope = yield* Effect.scope
  yield* showMetrics
  yield* watchEventLoop
  const [documents, libraries] = [yield* DocumentRooms, yield* LibraryRooms]
  const limits = { ...defaultLimits, ...options.limits }
  const proxies = yield* Effect.fromResult(parseTrustedProxies(options.trustedProxies ?? []))
  const origins = yield* Effect.fromResult(parseOrigins(options.origins))
  const runLog = yield* FiberSet.makeRuntime<never>()
  const addresses = makeAddressLimits(limits, proxies, (message) => void runLog(Effect.logWarning(message)))
  const budgets = yield* makeBudgets(limits)
  const sockets = yield* makeWebSockets(limits, origins, addresses, budgets, options.secsync?.path)
  yield* sweepOrphanedBlobsDaily
  const changes = yield* makeChangesRoute(limits)
  const app = yield* HttpRouter.toHttpEffect(
    Layer.mergeAll(VerdantPollRoute(limits, budgets), yield* fileRoutes(options), changes.route, routes)
  ).pipe(Effect.provideService(HttpRouter.RouterConfig, { maxParamLength: MAX_NAME_LENGTH }))
  const { idleTimeout, uploadTimeout } = { ...defaultFileOptions, ...options.files }
  const answer = yield* NodeHttpServer.makeHandler(
    Effect.provideService(withRequestId(app), Connections, sockets.connections),
    { scope: yield* Scope.fork(scope, "parallel") }
  )
  const bodies = endSlowBodies({ uploadTimeout, bodyTimeout: limits.bodyTimeout })
  const answers = endStalledAnswers(idleTimeout)
  const log = yield* makeConnectionLog
  const admission = admitRequests({ addresses, origins, log, maxRequests: limits.maxRequests }, answer)
  yield* Metrics.requestsInProgress.at({}).read(admission.inProgress)
  const slowAnswers = endTricklingAnswers({ isCrowded: () => admission.inProgress() > limits.maxRequests / 2 })
  yield* Effect.addFinalizer(() => Effect.sync(slowAnswers.stop))
  return {
    connections: sockets.connections,
    connection: (socket) => {
      if (addresses.admitsConnection(socket)) return
      refuseUpgrade(socket, "429 Too Many Requests", "address_connections", "connection")
    },
    request: (request, response) => {
      bodies(request, response)
      answers(request, response)
      slowAnswers.request(request, response)
      admission.request(request, response)
    },
    upgrade: sockets.upgrade,
    close: Effect.all(
      [changes.close, sockets.close, withPatience(Effect.andThen(documents.drain, libraries.drain), DRAIN_TIMEOUT)],
      { discard: true }
    )
  } satisfies Handlers
})

/** The file routes. Without a blob store, or without anything that makes URLs of files, every file request is refused. */
const fileRoutes = Effect.fnUntraced(function* ({ files }: EdgeOptions) {
  const blobs = yield* Effect.serviceOption(BlobStore)
  const signer = yield* Effect.serviceOption(FileLinks)
  const links = files?.getUrl === undefined ? signer : Option.orElseSome(signer, () => FileLinks.none)
  if (Option.isNone(blobs) || Option.isNone(links)) return NoFileRoutes()
  const provided = Layer.mergeAll(Layer.succeed(BlobStore, blobs.value), Layer.succeed(FileLinks, links.value))
  return FileRoutes(files).pipe(HttpRouter.provideRequest(provided))
})
