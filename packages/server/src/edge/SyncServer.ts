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
import type { AddressInfo } from "node:net"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Effect, FiberSet, Layer, Option, Schema, Scope } from "effect"
import { HttpRouter } from "effect/http"
import * as JwtAccess from "../adapters/JwtAccess.ts"
import type { QuotaChange } from "../domain/Quota.ts"
import { withPatience } from "../internal/timeouts.ts"
import type { Access, AccessChanges, AccessOptions } from "../ports/Access.ts"
import { BlobStore } from "../ports/BlobStore.ts"
import { DocumentRooms } from "../protocols/secsync/Rooms.ts"
import { SecsyncDocuments } from "../protocols/secsync/SecsyncDocuments.ts"
import { type SecsyncOptions, SecsyncSessions } from "../protocols/secsync/Sessions.ts"
import { VerdantFiles } from "../protocols/verdant/files/FileCatalog.ts"
import { FileLinks } from "../protocols/verdant/files/FileLinks.ts"
import { defaultFileOptions, type FileOptions } from "../protocols/verdant/files/FileOptions.ts"
import { sweepOrphanedBlobsDaily } from "../protocols/verdant/files/OrphanedBlobs.ts"
import { LibraryRooms } from "../protocols/verdant/Rooms.ts"
import { type VerdantOptions, VerdantSessions } from "../protocols/verdant/Sessions.ts"
import { VerdantLibraries } from "../protocols/verdant/VerdantLibraries.ts"
import { AccessControl } from "../rooms/AccessControl.ts"
import { AdmissionControl } from "../rooms/AdmissionControl.ts"
import { Committer } from "../rooms/Committer.ts"
import { type QuotaPolicy, Quotas } from "../rooms/Quotas.ts"
import { SigningKeys } from "../rooms/SigningKeys.ts"
import { Signatures } from "../signatures/Signatures.ts"
import { makeAddressLimits } from "./AddressLimits.ts"
import { makeBudgets } from "./Budgets.ts"
import { parseTrustedProxies } from "./ClientAddress.ts"
import { FileRoutes, NoFileRoutes } from "./http/files/FileRoutes.ts"
import { HealthRoute } from "./http/HealthRoute.ts"
import { admitRequests } from "./http/RequestAdmission.ts"
import { endSlowBodies, endStalledAnswers } from "./http/RequestTimeouts.ts"
import { VerdantPollRoute } from "./http/VerdantPollRoute.ts"
import { defaultLimits, type SocketLimits } from "./Limits.ts"
import { type OriginList, parseOrigins } from "./Origins.ts"
import { refuseUpgrade } from "./ws/Upgrade.ts"
import { makeWebSockets } from "./ws/WebSockets.ts"

export interface SyncServerOptions {
  /** 0: a free port, which `SyncServer.port` tells. */
  readonly port: number
  /** Default: all interfaces. */
  readonly host?: string
  /** Defaults: see `SocketLimits`. */
  readonly limits?: Partial<SocketLimits>
  /**
   * Proxies in front of the server, as addresses or ranges such as `10.0.0.0/8`. For the limits of one address, a client
   * behind them has the address that they append to X-Forwarded-For. Default: none, and the header is ignored.
   */
  readonly trustedProxies?: ReadonlyArray<string>
  /**
   * The web apps that may use the server, by their origins, such as `https://app.example.org`. The server also answers only to
   * the host names in this list, so it holds the server's own origin, too. Default: all. A request or an upgrade from a page
   * of another origin is answered with 403, and one for another host with 421. `this-machine` stands for pages and hosts of
   * this machine. A client that is no browser sends no origin, and may name any host of the list.
   */
  readonly origins?: OriginList
  /** For the app's policy (`Access.allows`). */
  readonly access?: AccessOptions
  readonly secsync?: SecsyncOptions
  readonly verdant?: VerdantOptions
  /** The quota of libraries for which neither an operator nor `quotaOf` sets another. Defaults: see `Quota`. */
  readonly quota?: QuotaChange
  /**
   * Returns the parts of a library's quota that the app sets, for example by its plan; an operator's `library quota` goes
   * before them. Called about once a second for a library in use, in the middle of a decision, so it must be quick. If it
   * throws, the command is refused as after a defect (1011). Default: the app sets none.
   */
  readonly quotaOf?: QuotaPolicy
  /** For the files of Verdant's clients, which are served if a `BlobStore` and `FileLinks` are provided. */
  readonly files?: Partial<FileOptions>
  /** Extra routes of the app on the same port, for example a token endpoint (`Access.mint`). */
  readonly routes?: Routes
}

/** Routes made by `HttpRouter.add`. Their handlers may use `Access`, and `Access.changed`. */
export type Routes = Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | HttpRouter.Request<"Requires", Access | AccessChanges>
>

/** The server cannot listen on its port, for example because another process does. */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  port: Schema.Finite,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Cannot listen on port ${this.port}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** How long a shutdown waits for pending commits. */
const DRAIN_TIMEOUT = "5 seconds"
/** Time for a request's head to arrive, ms. */
const HEADERS_TIMEOUT = 10_000
/** Largest request head. A URL carries a token and the clocks of a document's authors, about 60 bytes each. */
const MAX_HEADER_BYTES = 64 * 1024
/** Longest name in a path, in UTF-16 units: a library id has at most 200 characters. A longer one is answered with 404. */
const MAX_NAME_LENGTH = 400

export class SyncServer extends Context.Service<
  SyncServer,
  {
    /** The port that the server listens on. */
    readonly port: number
  }
>()("@sealog/server/SyncServer") {
  /** The server with the app's own `Access` and `Signatures`, for example with another number of verifier threads. */
  static readonly layerWithServices = (options: SyncServerOptions) =>
    Layer.effect(SyncServer, make(options)).pipe(
      Layer.provide([
        SecsyncSessions.layer(options.secsync),
        VerdantSessions.layer(options.verdant),
        VerdantFiles.layer
      ]),
      Layer.provideMerge(SecsyncDocuments.layer),
      Layer.provideMerge(VerdantLibraries.layer(options.files)),
      Layer.provideMerge(
        Layer.mergeAll(DocumentRooms.layer(options.secsync?.createDocuments), LibraryRooms.layer(options.verdant))
      ),
      Layer.provideMerge(AccessControl.layerChanges),
      Layer.provide([
        AdmissionControl.layer,
        AccessControl.layer(options.access),
        SigningKeys.layer(options.secsync?.keysPerUser),
        Quotas.layer(options.quota, options.quotaOf),
        Committer.layer,
        NodeHttpServer.layerHttpServices
      ])
    )

  /** The server with the app's own `Access`. */
  static readonly layerWithAccess = (options: SyncServerOptions) =>
    SyncServer.layerWithServices(options).pipe(Layer.provide(Signatures.layer))

  /** The server with signed tokens. Their secrets come from `TOKEN_SECRET` (see `JwtAccess.layerConfig`). */
  static readonly layer = (options: SyncServerOptions) =>
    SyncServer.layerWithAccess(options).pipe(Layer.provide([JwtAccess.layerConfig, FileLinks.layerConfig]))
}

/** The file routes. Without a blob store, or without a secret to sign links with, every file request is refused. */
const fileRoutes = Effect.fnUntraced(function* ({ files }: SyncServerOptions) {
  const [blobs, links] = [yield* Effect.serviceOption(BlobStore), yield* Effect.serviceOption(FileLinks)]
  if (Option.isNone(blobs) || Option.isNone(links)) return NoFileRoutes()
  const provided = Layer.mergeAll(Layer.succeed(BlobStore, blobs.value), Layer.succeed(FileLinks, links.value))
  return FileRoutes(files).pipe(HttpRouter.provideRequest(provided))
})

const make = Effect.fnUntraced(function* (options: SyncServerOptions) {
  const scope = yield* Effect.scope
  const [documents, libraries] = [yield* DocumentRooms, yield* LibraryRooms]
  const limits = { ...defaultLimits, ...options.limits }
  const proxies = yield* Effect.fromResult(parseTrustedProxies(options.trustedProxies ?? []))
  const origins = yield* Effect.fromResult(parseOrigins(options.origins))
  const runLog = yield* FiberSet.makeRuntime<never>()
  const addresses = makeAddressLimits(limits, proxies, (message) => void runLog(Effect.logWarning(message)))
  const budgets = yield* makeBudgets(limits)
  const sockets = yield* makeWebSockets(limits, origins, addresses, budgets, options.secsync?.path)
  yield* sweepOrphanedBlobsDaily
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT,
    connectionsCheckingInterval: HEADERS_TIMEOUT / 2,
    // Node has one timeout for all requests; `endSlowBodies` has one for uploads and one for the others.
    requestTimeout: 0,
    keepAliveTimeout: 5_000
  })
  const app = yield* HttpRouter.toHttpEffect(
    Layer.mergeAll(
      HealthRoute,
      VerdantPollRoute(limits, budgets),
      yield* fileRoutes(options),
      options.routes ?? Layer.empty
    )
  ).pipe(Effect.provideService(HttpRouter.RouterConfig, { maxParamLength: MAX_NAME_LENGTH }))
  const { idleTimeout, uploadTimeout } = { ...defaultFileOptions, ...options.files }
  endSlowBodies(server, { uploadTimeout, bodyTimeout: limits.bodyTimeout })
  endStalledAnswers(server, idleTimeout)
  const handler = yield* NodeHttpServer.makeHandler(app, { scope: yield* Scope.fork(scope, "parallel") })
  server.on("connection", (socket) => {
    if (!addresses.admitsConnection(socket)) refuseUpgrade(socket, "429 Too Many Requests")
  })
  admitRequests(server, { addresses, origins, maxRequests: limits.maxRequests }, handler)
  server.on("upgrade", sockets.upgrade)

  yield* Effect.callback<void, ListenError>((resume) => {
    server.once("error", (cause) => resume(Effect.fail(new ListenError({ port: options.port, cause }))))
    server.listen(options.port, options.host, () => resume(Effect.void))
  })
  // The storage closes after this: what clients have sent is stored before, and answered if there is time.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      server.close()
      yield* sockets.close
      yield* withPatience(Effect.andThen(documents.drain, libraries.drain), DRAIN_TIMEOUT)
      server.closeAllConnections()
    })
  )
  return SyncServer.of({ port: (server.address() as AddressInfo).port })
})
