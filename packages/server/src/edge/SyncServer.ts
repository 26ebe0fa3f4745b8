/**
 * The server: HTTP and WebSocket on one port, over the event log that is provided.
 *
 * ```ts
 * SyncServer.layer({ port: 4000 }).pipe(
 *   Layer.provide(SqliteStorage.layer({ filename: "sealog.db" })),
 *   Layer.launch,
 *   NodeRuntime.runMain
 * )
 * ```
 */
import { createServer } from "node:http"
import { Context, Effect, Layer } from "effect"
import type { HttpRouter } from "effect/http"
import * as JwtAccess from "../adapters/JwtAccess.ts"
import type { Access, AccessChanges } from "../ports/Access.ts"
import type { Connections } from "../ports/Connections.ts"
import type { EventLog } from "../ports/EventLog.ts"
import type { Signals } from "../ports/Signals.ts"
import type { GrownStreams } from "../protocols/changes/GrownStreams.ts"
import type { SecsyncDocuments } from "../protocols/secsync/SecsyncDocuments.ts"
import { FileLinks } from "../protocols/verdant/files/FileLinks.ts"
import type { LibraryRooms } from "../protocols/verdant/Rooms.ts"
import type { VerdantLibraries } from "../protocols/verdant/VerdantLibraries.ts"
import type { Quotas } from "../rooms/Quotas.ts"
import { Signatures } from "../signatures/Signatures.ts"
import { ConnectionSource } from "./ConnectionSource.ts"
import type { EdgeOptions } from "./EdgeOptions.ts"
import { makeHandlers, nodeServerOptions } from "./Handlers.ts"
import { answerBrokenRequests } from "./http/BrokenRequests.ts"
import { HealthRoute, makeHealth } from "./http/HealthRoute.ts"
import { MetricsRoute, serveMetrics } from "./http/MetricsRoute.ts"
import { listen } from "./listen.ts"
import { provideServices } from "./Services.ts"

export interface SyncServerOptions extends EdgeOptions {
  /** 0: a free port, which `SyncServer.port` tells. */
  readonly port: number
  /** Default: all interfaces. */
  readonly host?: string
  /** Extra routes of the app on the same port, for example a token endpoint (`Access.mint`). */
  readonly routes?: Routes
}

/** Routes made by `HttpRouter.add`. Their handlers may use `Access`, `Access.changed`, `Connections`, `SecsyncDocuments`, `VerdantLibraries` and the log. */
export type Routes = Layer.Layer<
  never,
  never,
  | EventLog
  | GrownStreams
  | LibraryRooms
  | Quotas
  | HttpRouter.HttpRouter
  | HttpRouter.Request<
      "Requires",
      Access | AccessChanges | Connections | SecsyncDocuments | VerdantLibraries | EventLog | Signals
    >
>

export class SyncServer extends Context.Service<
  SyncServer,
  {
    /** The port that the server listens on. */
    readonly port: number
    /** The port of `SyncServerOptions.metrics`; undefined: the metrics have none of their own. */
    readonly metricsPort: number | undefined
  }
>()("@sealog/server/SyncServer") {
  /** The server with the app's own `Access` and `Signatures`, for example with another number of verifier threads. */
  static readonly layerWithServices = (options: SyncServerOptions) =>
    Layer.effect(SyncServer, make(options)).pipe(provideServices(options))

  /** The server with the app's own `Access`. */
  static readonly layerWithAccess = (options: SyncServerOptions) =>
    SyncServer.layerWithServices(options).pipe(Layer.provide(Signatures.layer))

  /** The server with signed tokens. Their secrets come from `TOKEN_SECRET` (see `JwtAccess.layerConfig`). */
  static readonly layer = (options: SyncServerOptions) =>
    SyncServer.layerWithAccess(options).pipe(Layer.provide([JwtAccess.layerConfig, FileLinks.layerConfig]))
}

const make = Effect.fnUntraced(function* (options: SyncServerOptions) {
  const health = yield* makeHealth
  const routes = Layer.mergeAll(HealthRoute(health), MetricsRoute(options.metrics ?? {}), options.routes ?? Layer.empty)
  const handlers = yield* makeHandlers(options, routes)
  const server = createServer({
    ...nodeServerOptions,
    // Node has one timeout for all requests; the handlers have one for uploads and one for the others.
    requestTimeout: 0
  })
  server.on("connection", handlers.connection).on("request", handlers.request).on("upgrade", handlers.upgrade)
  answerBrokenRequests(server)
  const metricsPort = yield* serveMetrics(options.metrics ?? {}, options.host)
  // The storage closes after this: what clients have sent is stored before, and answered if there is time.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      handlers.close,
      Effect.sync(() => server.closeAllConnections())
    )
  )
  const takeConnections = (yield* ConnectionSource) ?? ((server) => listen(server, options))
  const port = yield* takeConnections(server, { health, connections: handlers.connections })
  return SyncServer.of({ port, metricsPort })
})
