/**
 * The server: HTTP and WebSocket on one port, over whatever log is provided.
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
import { Context, Effect, Layer, Option, Schema, Scope } from "effect"
import { HttpRouter } from "effect/http"
import * as JwtAccess from "../adapters/JwtAccess.ts"
import { withPatience } from "../internal/timeouts.ts"
import type { Access } from "../ports/Access.ts"
import { BlobStore } from "../ports/BlobStore.ts"
import { DocumentRooms } from "../protocols/secsync/Rooms.ts"
import { type SecsyncOptions, SecsyncSessions } from "../protocols/secsync/Sessions.ts"
import { VerdantFiles } from "../protocols/verdant/files/FileCatalog.ts"
import { FileLinks } from "../protocols/verdant/files/FileLinks.ts"
import { defaultFileOptions, type FileOptions } from "../protocols/verdant/files/FileOptions.ts"
import { keepFileStore } from "../protocols/verdant/files/OrphanedBlobs.ts"
import { LibraryRooms } from "../protocols/verdant/Rooms.ts"
import { type VerdantOptions, VerdantSessions } from "../protocols/verdant/Sessions.ts"
import { VerdantLibraries } from "../protocols/verdant/VerdantLibraries.ts"
import { AdmissionControl } from "../rooms/AdmissionControl.ts"
import { Committer } from "../rooms/Committer.ts"
import { Signatures } from "../signatures/Signatures.ts"
import { FileRoutes, NoFileRoutes } from "./http/files/FileRoutes.ts"
import { HealthRoute } from "./http/HealthRoute.ts"
import { endSlowBodies, endStalledAnswers } from "./http/RequestTimeouts.ts"
import { VerdantRoutes } from "./http/VerdantPollRoute.ts"
import { defaultLimits, type SocketLimits } from "./Limits.ts"
import { makeMemoryBudget } from "./MemoryBudget.ts"
import { makeWebSockets } from "./ws/WebSockets.ts"

export interface SyncServerOptions {
  /** 0: any free port; see `SyncServer.port`. */
  readonly port: number
  /** Default: all interfaces. */
  readonly host?: string
  readonly limits?: Partial<SocketLimits>
  readonly secsync?: SecsyncOptions
  readonly verdant?: VerdantOptions
  /** Files of Verdant's clients; they are served when a `BlobStore` is provided. */
  readonly files?: Partial<FileOptions>
  /** Routes of the app's own on the same port, as one that gives its users their tokens (`Access.mint`). */
  readonly routes?: Routes
}

/** Made by `HttpRouter.add`; their handlers may use `Access`. */
export type Routes = Layer.Layer<never, never, HttpRouter.HttpRouter | HttpRouter.Request<"Requires", Access>>

/** The port could not be opened. */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  port: Schema.Finite,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Cannot listen on port ${this.port}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** How long a shutdown waits for commits that are under way. */
const DRAIN_TIMEOUT = "5 seconds"
/** Until a request's head is there, ms. */
const HEADERS_TIMEOUT = 10_000
/** A URL carries a token and the clocks of a document's authors, some 60 bytes each. */
const MAX_HEADER_BYTES = 64 * 1024
/** Of a name in a path; a longer one is answered with 404. A library's has 200 characters at most, in UTF-16 twice that. */
const MAX_NAME_LENGTH = 400

export class SyncServer extends Context.Service<
  SyncServer,
  {
    /** The port that is listened on. */
    readonly port: number
  }
>()("@sealog/server/SyncServer") {
  /** With `Access` and `Signatures` of the app's own, which may be on more threads or fewer. */
  static readonly layerWithServices = (options: SyncServerOptions) =>
    Layer.effect(SyncServer, make(options)).pipe(
      Layer.provide([
        SecsyncSessions.layer(options.secsync),
        VerdantSessions.layer(options.verdant),
        VerdantFiles.layer
      ]),
      Layer.provideMerge(VerdantLibraries.layer(options.files)),
      Layer.provideMerge(Layer.mergeAll(DocumentRooms.layer, LibraryRooms.layer(options.verdant))),
      Layer.provide([AdmissionControl.layer, Committer.layer, NodeHttpServer.layerHttpServices])
    )

  /** With an `Access` of the app's own. */
  static readonly layerWithAccess = (options: SyncServerOptions) =>
    SyncServer.layerWithServices(options).pipe(Layer.provide(Signatures.layer))

  /** Access by signed tokens; the secrets come from `TOKEN_SECRET` (see `JwtAccess.layerConfig`). */
  static readonly layer = (options: SyncServerOptions) =>
    SyncServer.layerWithAccess(options).pipe(Layer.provide([JwtAccess.layerConfig, FileLinks.layerConfig]))
}

/** Only with a place for files, and a secret to sign links to them. */
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
  const largeMessages = makeMemoryBudget()
  const sockets = yield* makeWebSockets(limits, largeMessages)
  yield* keepFileStore
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT,
    connectionsCheckingInterval: HEADERS_TIMEOUT / 2,
    // Not the same for all: see below.
    requestTimeout: 0,
    keepAliveTimeout: 5_000
  })
  const app = yield* HttpRouter.toHttpEffect(
    Layer.mergeAll(
      HealthRoute,
      VerdantRoutes(limits, largeMessages),
      yield* fileRoutes(options),
      options.routes ?? Layer.empty
    )
  ).pipe(Effect.provideService(HttpRouter.RouterConfig, { maxParamLength: MAX_NAME_LENGTH }))
  const { idleTimeout, uploadTimeout } = { ...defaultFileOptions, ...options.files }
  endSlowBodies(server, { uploadTimeout, bodyTimeout: limits.bodyTimeout })
  endStalledAnswers(server, idleTimeout)
  server.on("request", yield* NodeHttpServer.makeHandler(app, { scope: yield* Scope.fork(scope, "parallel") }))
  server.on("upgrade", sockets.upgrade)

  yield* Effect.callback<void, ListenError>((resume) => {
    server.once("error", (cause) => resume(Effect.fail(new ListenError({ port: options.port, cause }))))
    server.listen(options.port, options.host, () => resume(Effect.void))
  })
  // What clients sent is answered or at least kept before the storage goes.
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
