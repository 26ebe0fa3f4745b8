/** The file routes alone on a real HTTP server, with a catalog of files in memory and any file store. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { layerMemory as layerMemoryBlobs } from "@sealog/server/adapters/MemoryBlobStore"
import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { FileRoutes, type NoFileRoutes } from "@sealog/server/edge/http/files/FileRoutes"
import { Access, type TokenRequest } from "@sealog/server/ports/Access"
import { BlobStore } from "@sealog/server/ports/BlobStore"
import type { EventLog } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { AnothersFile, type FileRecord, VerdantFiles } from "@sealog/server/protocols/verdant/files/FileCatalog"
import { FileLinks } from "@sealog/server/protocols/verdant/files/FileLinks"
import type { FileOptions } from "@sealog/server/protocols/verdant/files/FileOptions"
import { AccessControl } from "@sealog/server/rooms/AccessControl"
import { AdmissionControl } from "@sealog/server/rooms/AdmissionControl"
import { Context, Effect, Layer, PubSub, Redacted, Scope, Stream } from "effect"
import { HttpRouter } from "effect/http"

export const SECRET = "a-secret-that-only-tests-have-0123456789"

export const layerFilesInMemory = Layer.sync(VerdantFiles, () => {
  const libraries = new Map<LibraryId, Map<string, FileRecord>>()
  const filesOf = (libraryId: LibraryId) => libraries.get(libraryId) ?? new Map<string, FileRecord>()
  return VerdantFiles.of({
    roomFor: () => Effect.succeed(Number.POSITIVE_INFINITY),
    record: (libraryId, file) =>
      Effect.suspend(() => {
        const files = filesOf(libraryId)
        const before = files.get(file.fileId)
        if (before !== undefined && before.userId !== file.userId) return new AnothersFile(file)
        libraries.set(libraryId, files.set(file.fileId, file))
        return Effect.succeed(before)
      }),
    mayRecord: (libraryId, fileId, userId) =>
      Effect.sync(() => (filesOf(libraryId).get(fileId)?.userId ?? userId) === userId),
    find: (libraryId, fileId) => Effect.sync(() => filesOf(libraryId).get(fileId)),
    blobs: (libraryId) => Effect.sync(() => new Set(Array.from(filesOf(libraryId).values(), ({ blob }) => blob)))
  })
})

/** Signals within one process. */
const layerSignals = Layer.effect(
  Signals,
  Effect.gen(function* () {
    const announced = yield* PubSub.unbounded<ReadonlyArray<StreamKey>>()
    return Signals.of({
      announce: (keys) => Effect.asVoid(PubSub.publish(announced, keys)),
      wakeups: Stream.fromPubSub(announced),
      broadcast: () => Effect.void,
      broadcasts: Stream.never
    })
  })
)

export interface FileServer {
  /** http://127.0.0.1:PORT/verdant/files */
  readonly url: string
  readonly port: number
  readonly blobs: BlobStore["Service"]
  readonly files: VerdantFiles["Service"]
  /** `Access.changed`, as the app calls it. */
  readonly changed: AccessControl["Service"]["changed"]
  /** Runs an effect with the server's own log and signals, as a command of the CLI would. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, EventLog | Signals>) => Effect.Effect<A, E>
  readonly token: (libraryId: string, request?: Partial<Omit<TokenRequest, "libraryId">>) => Effect.Effect<string>
}

export const startFileServer: (
  options?: Partial<FileOptions>,
  layers?: {
    readonly blobs?: Layer.Layer<BlobStore, unknown>
    readonly files?: Layer.Layer<VerdantFiles>
    /** The app's policy. Default: none. */
    readonly allows?: NonNullable<Access["Service"]["allows"]>
    readonly routes?: ReturnType<typeof FileRoutes | typeof NoFileRoutes>
  }
) => Effect.Effect<FileServer, never, Scope.Scope> = Effect.fnUntraced(function* (options, layers = {}) {
  const { allows, blobs = layerMemoryBlobs, files = layerFilesInMemory, routes = FileRoutes(options) } = layers
  const secrets = [Redacted.make(SECRET)]
  const tokens = JwtAccess.layerTokens(secrets)
  const services = yield* Layer.merge(AdmissionControl.layer, AccessControl.layer()).pipe(
    Layer.provideMerge([
      layerMemory,
      layerSignals,
      blobs,
      files,
      allows === undefined ? tokens : Layer.provide(Access.layerWithPolicy(allows), tokens),
      FileLinks.layerTokens(secrets),
      NodeHttpServer.layerHttpServices
    ]),
    Layer.build,
    Effect.orDie
  )
  const scope = yield* Effect.scope
  const handler = yield* Effect.gen(function* () {
    const app = yield* HttpRouter.toHttpEffect(routes)
    return yield* NodeHttpServer.makeHandler(app, { scope: yield* Scope.fork(scope, "parallel") })
  }).pipe(Effect.provide(services))
  // A short keep-alive would close a connection at the moment at which a client in this process reuses it.
  const server = createServer({ keepAliveTimeout: 120_000 }, handler)
  yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
  yield* Effect.addFinalizer(() => Effect.sync(() => server.close().closeAllConnections()))
  const { port } = server.address() as AddressInfo
  const access = Context.get(services, Access)
  return {
    port,
    url: `http://127.0.0.1:${port}/verdant/files`,
    blobs: Context.get(services, BlobStore),
    files: Context.get(services, VerdantFiles),
    changed: Context.get(services, AccessControl).changed,
    run: Effect.provide(services),
    token: (libraryId, request) => access.mint({ userId: "somebody", libraryId: LibraryId.make(libraryId), ...request })
  }
})
