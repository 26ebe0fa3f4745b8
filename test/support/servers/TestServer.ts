/** A server in this process, on a free port: on a database, or on memory alone. */
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import * as MemoryBlobStore from "@sealog/server/adapters/MemoryBlobStore"
import * as MemoryEventLog from "@sealog/server/adapters/MemoryEventLog"
import { LibraryId } from "@sealog/server/domain/Ids"
import { SyncServer, type SyncServerOptions } from "@sealog/server/edge/SyncServer"
import { Access, type AccessChange, AccessChanges, type TokenRequest } from "@sealog/server/ports/Access"
import type { BlobStore } from "@sealog/server/ports/BlobStore"
import { EventLog, type StorageUnavailable } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { SecsyncDocuments } from "@sealog/server/protocols/secsync/SecsyncDocuments"
import { FileLinks } from "@sealog/server/protocols/verdant/files/FileLinks"
import { VerdantLibraries } from "@sealog/server/protocols/verdant/VerdantLibraries"
import { Context, Effect, Function, Layer, Redacted, type Scope } from "effect"

export const TOKEN_SECRET = "a-secret-that-only-tests-have-0123456789"

export interface TestServer {
  /** ws://127.0.0.1:PORT */
  readonly url: string
  readonly port: number
  /** The port of the metrics, if they have one (`metrics: { port: 0 }`). */
  readonly metricsPort: number | undefined
  readonly log: EventLog["Service"]
  /** `Access.changed`, as the app that embeds the server calls it. */
  readonly changed: (change: AccessChange) => Effect.Effect<void, StorageUnavailable>
  /** The interface for the app that embeds the server. */
  readonly libraries: VerdantLibraries["Service"]
  readonly documents: SecsyncDocuments["Service"]
  readonly token: (libraryId: string, request?: Partial<Omit<TokenRequest, "libraryId">>) => Effect.Effect<string>
}

export interface ServerOnDatabase extends TestServer {
  /** The database's URL, as `--database` takes it. */
  readonly database: string
}

export interface TestServerOptions extends Partial<SyncServerOptions> {
  /** The app's policy. Default: none. */
  readonly allows?: NonNullable<Access["Service"]["allows"]>
  /** Whether there is a file store. Default: true. */
  readonly hasFiles?: boolean
}

export interface ServerOnDatabaseOptions extends TestServerOptions {
  /** Default: a fresh database of the project's storage. */
  readonly database?: string
  readonly blobs?: Layer.Layer<BlobStore>
  /** Changes the log that the server sees. */
  readonly logAs?: (log: EventLog["Service"]) => EventLog["Service"]
}

/** A server on a database. Tests that call this run once for each storage. */
export const startServer: (options?: ServerOnDatabaseOptions) => Effect.Effect<ServerOnDatabase, never, Scope.Scope> =
  Effect.fnUntraced(function* ({ database: given, blobs, logAs, ...options }: ServerOnDatabaseOptions = {}) {
    // Imported here, so that a unit test loads no database driver.
    const { freshStorage, layerOf } = yield* Effect.promise(() => import("../storage/databases.ts"))
    const database = given ?? (yield* freshStorage)
    const log = Layer.effect(EventLog, Effect.map(EventLog, logAs ?? Function.identity))
    const server = yield* startOn(Layer.provideMerge(log, layerOf(database)), options, blobs)
    return { ...server, database }
  })

/** A server on the log in memory, or on the log and signals that a test passes. */
export const startMemoryServer = (
  options: TestServerOptions = {},
  log: Layer.Layer<EventLog> = MemoryEventLog.layerMemory,
  signals: Layer.Layer<Signals> = Signals.layerNone
): Effect.Effect<TestServer, never, Scope.Scope> => startOn(Layer.merge(log, signals), options)

const startOn: <E>(
  storage: Layer.Layer<EventLog | Signals, E>,
  options: TestServerOptions,
  blobs?: Layer.Layer<BlobStore>
) => Effect.Effect<TestServer, never, Scope.Scope> = Effect.fnUntraced(function* (
  storage,
  { allows, hasFiles = true, ...options },
  blobs = MemoryBlobStore.layerMemory
) {
  const secrets = [Redacted.make(TOKEN_SECRET)]
  const tokens = JwtAccess.layerTokens(secrets)
  const access = allows === undefined ? tokens : Layer.provide(Access.layerWithPolicy(allows), tokens)
  // Tests wait for certain reads of the log, which a scrub would make as well.
  const defaults = { port: 0, host: "127.0.0.1", scrub: { bytesPerSecond: 0 } }
  const layer = SyncServer.layerWithAccess({ ...defaults, ...options }).pipe(Layer.provideMerge([storage, access]))
  const files = Layer.mergeAll(blobs, FileLinks.layerTokens(secrets))
  const services = yield* Effect.orDie(Layer.build(hasFiles ? Layer.provide(layer, files) : layer))
  const { mint } = Context.get(services, Access)
  const { metricsPort, port } = Context.get(services, SyncServer)
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    metricsPort,
    changed: Context.get(services, AccessChanges).changed,
    log: Context.get(services, EventLog),
    libraries: Context.get(services, VerdantLibraries),
    documents: Context.get(services, SecsyncDocuments),
    token: (libraryId, request) => mint({ userId: "somebody", libraryId: LibraryId.make(libraryId), ...request })
  }
})

/** A name that no other test uses. */
export const randomName = (): string => crypto.randomUUID()
