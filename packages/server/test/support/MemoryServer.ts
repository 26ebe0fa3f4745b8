/** The server in this process, on the log and a store of files in memory. */
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import * as JwtAccess from "../../src/adapters/JwtAccess.ts"
import { layerMemory as layerMemoryBlobs } from "../../src/adapters/MemoryBlobStore.ts"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { LibraryId } from "../../src/domain/Ids.ts"
import { SyncServer, type SyncServerOptions } from "../../src/edge/SyncServer.ts"
import { Access, type TokenRequest } from "../../src/ports/Access.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { FileLinks } from "../../src/protocols/verdant/files/FileLinks.ts"
import { makeAuthor, snapshotMessage } from "../../src/testing/SealedMessages.ts"
import { connectRaw } from "./RawClient.ts"

export interface MemoryServer {
  /** ws://127.0.0.1:PORT */
  readonly url: string
  readonly port: number
  readonly log: EventLog["Service"]
  readonly token: (libraryId: string, request?: Partial<Omit<TokenRequest, "libraryId">>) => Effect.Effect<string>
}

export const startMemoryServer: (
  options?: Partial<SyncServerOptions>,
  log?: Layer.Layer<EventLog>,
  signals?: Layer.Layer<Signals>
) => Effect.Effect<MemoryServer, never, Scope.Scope> = Effect.fnUntraced(function* (
  options?: Partial<SyncServerOptions>,
  log = layerMemory,
  signals = Signals.layerNone
) {
  const secrets = [Redacted.make("a-secret-that-only-tests-have-0123456789")]
  const layer = SyncServer.layerWithAccess({ port: 0, host: "127.0.0.1", ...options }).pipe(
    Layer.provideMerge([log, signals, JwtAccess.layerTokens(secrets)]),
    Layer.provide([layerMemoryBlobs, FileLinks.layerTokens(secrets)])
  )
  const services = yield* Effect.orDie(Layer.build(layer))
  const access = Context.get(services, Access)
  const { port } = Context.get(services, SyncServer)
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    log: Context.get(services, EventLog),
    token: (libraryId, request) => access.mint({ userId: "somebody", libraryId: LibraryId.make(libraryId), ...request })
  }
})

/** A document of a library of its own with its first snapshot, and its author connected. */
export const startDocument = Effect.fnUntraced(function* (server: MemoryServer) {
  const libraryId = LibraryId.make(crypto.randomUUID())
  const options = { url: server.url, documentId: crypto.randomUUID(), token: yield* server.token(libraryId) }
  const author = makeAuthor()
  const client = yield* connectRaw(options)
  const snapshot = snapshotMessage(author, { docId: options.documentId })
  client.send(snapshot)
  yield* client.next("snapshot-saved")
  return {
    ...{ options, author, client, snapshot },
    docId: options.documentId,
    refSnapshotId: snapshot.publicData.snapshotId,
    key: { libraryId, streamId: options.documentId }
  }
})
