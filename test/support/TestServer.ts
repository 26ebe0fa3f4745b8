/** The server in this process, on a database of its own and a free port. */

import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { layerMemory } from "@sealog/server/adapters/MemoryBlobStore"
import { LibraryId } from "@sealog/server/domain/Ids"
import { SyncServer, type SyncServerOptions } from "@sealog/server/edge/SyncServer"
import { Access, type TokenRequest } from "@sealog/server/ports/Access"
import type { BlobStore } from "@sealog/server/ports/BlobStore"
import { EventLog } from "@sealog/server/ports/EventLog"
import { FileLinks } from "@sealog/server/protocols/verdant/files/FileLinks"
import { VerdantLibraries } from "@sealog/server/protocols/verdant/VerdantLibraries"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"

import { freshStorage, layerOf } from "./postgres.ts"

export const TOKEN_SECRET = "a-secret-that-only-tests-have-0123456789"

export interface TestServer {
  /** ws://127.0.0.1:PORT */
  readonly url: string
  /** As `--database` takes it. */
  readonly database: string
  readonly log: EventLog["Service"]
  /** What the app that embeds the server has of it. */
  readonly libraries: VerdantLibraries["Service"]
  readonly token: (libraryId: string, request?: Partial<Omit<TokenRequest, "libraryId">>) => Effect.Effect<string>
}

export interface TestServerOptions extends Partial<SyncServerOptions> {
  readonly database?: string
  readonly blobs?: Layer.Layer<BlobStore>
  /** What the server has for its log. Default: the log itself. */
  readonly logAs?: (log: EventLog["Service"]) => EventLog["Service"]
}

/** On a fresh database of the storage that is being tested, or on the one given. */
export const startServer: (options?: TestServerOptions) => Effect.Effect<TestServer, never, Scope.Scope> =
  Effect.fnUntraced(function* (options) {
    const database = options?.database ?? (yield* freshStorage)
    const secrets = [Redacted.make(TOKEN_SECRET)]
    const logAs = Layer.effect(EventLog, Effect.map(EventLog, options?.logAs ?? ((log) => log)))
    const layer = SyncServer.layerWithAccess({ port: 0, host: "127.0.0.1", ...options }).pipe(
      Layer.provideMerge([Layer.provideMerge(logAs, layerOf(database)), JwtAccess.layerTokens(secrets)]),
      Layer.provide([options?.blobs ?? layerMemory, FileLinks.layerTokens(secrets)])
    )
    const services = yield* Effect.orDie(Layer.build(layer))
    const access = Context.get(services, Access)
    return {
      url: `ws://127.0.0.1:${Context.get(services, SyncServer).port}`,
      database,
      log: Context.get(services, EventLog),
      libraries: Context.get(services, VerdantLibraries),
      token: (libraryId, request) =>
        access.mint({ userId: "somebody", libraryId: LibraryId.make(libraryId), ...request })
    }
  })

/** For names that no other test has. */
export const randomName = (): string => crypto.randomUUID()
