/**
 * Sealog in the HTTP server of an app: the handlers of Node's `request` and `upgrade`, for the server of `http.createServer`,
 * of Express, Hono, Fastify, and of any other framework on Node's server.
 *
 * Every limit of `EdgeOptions` holds as in a server of Sealog's own, with two exceptions. A TCP connection counts for its
 * address from its first request to Sealog on. The limits that hold before a request has arrived are the app's server's to
 * set: `nodeServerOptions` has the values of Sealog's own server.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import { Context, Effect, FiberSet, Layer } from "effect"
import * as JwtAccess from "../adapters/JwtAccess.ts"
import type { Health } from "../ports/Workers.ts"
import { FileLinks } from "../protocols/verdant/files/FileLinks.ts"
import { Signatures } from "../signatures/Signatures.ts"
import type { EdgeOptions } from "./EdgeOptions.ts"
import { type Handlers, makeHandlers } from "./Handlers.ts"
import { makeHealth } from "./http/HealthRoute.ts"
import { serveMetrics } from "./http/MetricsRoute.ts"
import { routeOf } from "./http/Route.ts"
import { isOwnRequest, isOwnUpgrade, type MountPath, parseMountPath } from "./MountPath.ts"
import { provideServices } from "./Services.ts"
import { Transports } from "./Transports.ts"
import { refuseUpgrade } from "./ws/Upgrade.ts"

export interface MountOptions extends EdgeOptions {
  /**
   * The path under which the app's server serves Sealog, such as `/sync`. Verdant clients then find it at `/sync/verdant`, and
   * the `websocketEndpoint` of Secsync clients is `wss://HOST/sync`. Default: "", so `/verdant` and `wss://HOST`.
   */
  readonly path?: string
  /**
   * Whether `GET <path>/changes` is Sealog's: server-sent events for backends with the right to changes. Default: false, because
   * the path may be one of the app's.
   */
  readonly serveChanges?: boolean
}

export class NodeHandlers extends Context.Service<
  NodeHandlers,
  {
    /**
     * Answers a request of a Verdant client: those to `<path>/verdant` and below it, and with `serveChanges` to `<path>/changes`. Returns whether the request is one. Any
     * other is left to `next`; without `next` it is answered with 404. The body must not have been read before, so this comes
     * before body parsers: after one, the answer is 500, with a line in the log.
     */
    readonly request: (request: IncomingMessage, response: ServerResponse, next?: () => void) => boolean
    /**
     * Takes the WebSocket of a Verdant or a Secsync client: an upgrade of `<path>/verdant`, or below `<path>` with a
     * `sessionKey`. Returns whether the upgrade is one. Any other is left to `next`; without `next` it is answered with 404.
     */
    readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, next?: () => void) => boolean
    /** The answer of `GET /healthz` of a server of Sealog's own. The app decides at which path it answers it. */
    readonly health: Effect.Effect<Health>
  }
>()("@sealog/server/NodeHandlers") {
  /** The handlers with the app's own `Access` and `Signatures`. */
  static readonly layerWithServices = (options: MountOptions = {}) =>
    Layer.unwrap(
      Effect.map(Effect.fromResult(parseMountPath(options.path ?? "")), (path) => {
        const files = { ...options.files, mountPath: path.prefix }
        const edge = { ...options, files }
        return Layer.merge(
          Layer.effect(NodeHandlers, make(edge, path, options.serveChanges === true)),
          Transports.layer(edge)
        ).pipe(provideServices(edge))
      })
    )

  /** The handlers with the app's own `Access`. */
  static readonly layerWithAccess = (options?: MountOptions) =>
    NodeHandlers.layerWithServices(options).pipe(Layer.provide(Signatures.layer))

  /** The handlers with signed tokens. Their secrets come from `TOKEN_SECRET` (see `JwtAccess.layerConfig`). */
  static readonly layer = (options?: MountOptions) =>
    NodeHandlers.layerWithAccess(options).pipe(Layer.provide([JwtAccess.layerConfig, FileLinks.layerConfig]))
}

const make = Effect.fnUntraced(function* (options: EdgeOptions, path: MountPath, servesChanges: boolean) {
  const handlers = yield* makeHandlers(options, Layer.empty)
  const health = yield* makeHealth
  yield* serveMetrics(options.metrics ?? {}, undefined)
  const run = yield* FiberSet.makeRuntime<never>()
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return handlers.close
    })
  )
  const logReadBody = ({ method, url }: IncomingMessage) =>
    Effect.logError(
      `The body of ${method} ${url} was read before Sealog got the request; put its handler before the body parsers`
    )
  return NodeHandlers.of({
    ...toNodeHandlers(handlers, path, {
      isOwn: (url) => isOwnRequest(url) || (servesChanges && routeOf(url) === "changes"),
      isClosed: () => isClosed,
      bodyWasRead: (request) => void run(logReadBody(request))
    }),
    health
  })
})

interface Circumstances {
  readonly isOwn: (url: string) => boolean
  readonly isClosed: () => boolean
  readonly bodyWasRead: (request: IncomingMessage) => void
}

/** Frameworks that serve a handler under a path shorten `url`, and keep the whole in `originalUrl`. */
type MountedRequest = IncomingMessage & { originalUrl?: string }

const toNodeHandlers = (
  handlers: Handlers,
  { below }: MountPath,
  { bodyWasRead, isClosed, isOwn }: Circumstances
): Pick<NodeHandlers["Service"], "request" | "upgrade"> => ({
  request: (request: MountedRequest, response, next) => {
    const whole = request.originalUrl ?? request.url ?? "/"
    const url = below(whole)
    if (url === undefined || !isOwn(url)) {
      if (next === undefined) end(response, 404)
      else next()
      return false
    }
    if (isClosed()) end(response, 503)
    else if (request.readableDidRead) {
      bodyWasRead(request)
      end(response, 500)
    } else {
      request.originalUrl = whole
      request.url = url
      // Refuses the connection of an address that has too many. It writes the answer past the response.
      handlers.connection(request.socket)
      if (!request.socket.writableEnded) handlers.request(request, response)
    }
    return true
  },
  upgrade: (request: MountedRequest, socket, head, next) => {
    const whole = request.originalUrl ?? request.url ?? "/"
    const url = below(whole)
    if (url === undefined || !isOwnUpgrade(url)) {
      if (next === undefined) refuseUpgrade(socket, "404 Not Found", "path")
      else next()
      return false
    }
    request.originalUrl = whole
    request.url = url
    handlers.connection(request.socket)
    if (!request.socket.destroyed && !request.socket.writableEnded) handlers.upgrade(request, socket, head)
    return true
  }
})

const end = (response: ServerResponse, status: number): void =>
  void response.writeHead(status, { connection: "close", "content-length": 0 }).end()
