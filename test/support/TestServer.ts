/** The server in this process, on a SQLite file of its own and a free port. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Access, type TokenRequest } from "@sealog/server/Access"
import { LibraryId } from "@sealog/server/domain/Ids"
import { EventLog } from "@sealog/server/EventLog"
import { SyncServer, type SyncServerOptions } from "@sealog/server/edge/SyncServer"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"

export const TOKEN_SECRET = "a-secret-that-only-tests-have-0123456789"

export interface TestServer {
  /** ws://127.0.0.1:PORT */
  readonly url: string
  readonly filename: string
  readonly log: EventLog["Service"]
  readonly token: (libraryId: string, request?: Partial<Omit<TokenRequest, "libraryId">>) => Effect.Effect<string>
}

export const startServer: (options?: Partial<SyncServerOptions>) => Effect.Effect<TestServer, never, Scope.Scope> =
  Effect.fnUntraced(function* (options?: Partial<SyncServerOptions>) {
    const filename = yield* temporaryFile
    const layer = SyncServer.layerWithAccess({ port: 0, host: "127.0.0.1", ...options }).pipe(
      Layer.provideMerge([SqliteStorage.layer({ filename }), Access.layerTokens([Redacted.make(TOKEN_SECRET)])])
    )
    const services = yield* Effect.orDie(Layer.build(layer))
    const access = Context.get(services, Access)
    return {
      url: `ws://127.0.0.1:${Context.get(services, SyncServer).port}`,
      filename,
      log: Context.get(services, EventLog),
      token: (libraryId, request) =>
        access.mint({ userId: "somebody", libraryId: LibraryId.make(libraryId), ...request })
    }
  })

/** A path in a folder of its own, which goes with the scope. */
export const temporaryFile: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-test-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
).pipe(Effect.map((folder) => join(folder, "sealog.db")))

/** For names that no other test has. */
export const randomName = (): string => crypto.randomUUID()
