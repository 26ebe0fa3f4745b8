/**
 * The server's side of `AdminApi`, as routes for `SyncServer`. Each handler calls the same function as the command of the same
 * name, so that an operator may do neither more nor less than with `sync-admin` on the database.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer, Redacted, type Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { type Attribution, fold, isRevoked, serverAdministration } from "../../domain/Administration.ts"
import type { LibraryId } from "../../domain/Ids.ts"
import type { QuotaChange } from "../../domain/Quota.ts"
import { AdminAccess, type Administrator } from "../../ports/AdminAccess.ts"
import type { BlobStoreUnavailable } from "../../ports/BlobStore.ts"
import { Connections } from "../../ports/Connections.ts"
import { EventLog, type StorageUnavailable, type StreamSummary } from "../../ports/EventLog.ts"
import { VerdantLibraries } from "../../protocols/verdant/VerdantLibraries.ts"
import { evict } from "../Eviction.ts"
import { showDocument, showLibrary } from "../Inspect.ts"
import { quotaOf, setQuota } from "../LibraryQuota.ts"
import { isSuspended, resume, revoke, suspend } from "../Revocation.ts"
import { statistics } from "../Statistics.ts"
import {
  ADMIN_API_PATH,
  AdminApi,
  Authorization,
  CurrentOperator,
  NotAdministrator,
  NotInLog,
  Unavailable
} from "./AdminApi.ts"

const PAGE = 100

/** Routes for `SyncServerOptions.routes`. They need an `AdminAccess`, for example `JwtAccess.layerAdminConfig`. */
export const adminRoutes = <E, R>(access: Layer.Layer<AdminAccess, E, R>) =>
  HttpApiBuilder.layer(AdminApi, { openapiPath: `${ADMIN_API_PATH}/openapi.json` }).pipe(
    Layer.provide([libraries, documents, server]),
    Layer.provide(authorization),
    Layer.provide([access, NodeHttpServer.layerHttpServices])
  )

// ------------------------------------------------------------------------------------------------------ authorization

const authorization = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const access = yield* AdminAccess
    const log = yield* EventLog
    return Authorization.of({
      bearer: Effect.fnUntraced(function* (respond, { credential }) {
        const administrator = yield* access
          .verify(Redacted.value(credential))
          .pipe(Effect.catch(({ message }) => Effect.fail(new NotAdministrator({ message }))))
        if (yield* isTokenRevoked(log, administrator)) {
          return yield* new NotAdministrator({ message: "The token was revoked." })
        }
        return yield* Effect.provideService(respond, CurrentOperator, administrator.name)
      })
    })
  })
)

/** `sync-admin token revoke` ends an operator's tokens as well, by their ids or by the operator's name as the user. */
const isTokenRevoked = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  { issuedAt, name, tokenId }: Administrator
) {
  const { events } = yield* orUnavailable(log.tail(serverAdministration, { payloads: false }))
  const state = fold(events.map(({ event }) => event))
  return isRevoked(state, { userId: name, tokenId, issuedAt })
})

// ----------------------------------------------------------------------------------------------------------- handlers

const libraries = HttpApiBuilder.group(AdminApi, "libraries", (handlers) =>
  handlers.handleAll({
    list: ({ query: { after, limit = PAGE } }) =>
      EventLog.use((log) => orUnavailable(log.libraries({ limit, ...(after !== undefined && { after }) }))).pipe(
        Effect.map((page) => page.filter(({ libraryId }) => !libraryId.startsWith("@")))
      ),
    show: Effect.fnUntraced(function* ({ params: { libraryId } }) {
      const details = yield* knownLibrary(libraryId)
      const [suspended, quota] = yield* orUnavailable(Effect.all([isSuspended(libraryId), quotaOf(libraryId)]))
      return { ...details, suspended, quota }
    }),
    verdant: Effect.fnUntraced(function* ({ params: { libraryId } }) {
      const info = yield* VerdantLibraries.use((all) => orUnavailable(all.info(libraryId)))
      return info ?? (yield* new NotInLog({ message: `The library ${libraryId} has no Verdant data.` }))
    }),
    evict: Effect.fnUntraced(function* ({ params: { libraryId }, payload: { documentId, dryRun = false } }) {
      yield* knownLibrary(libraryId)
      const target = { libraryId, dryRun, ...(documentId !== undefined && { documentId }) }
      const evicted = yield* orUnavailable(evict(target))
      if (!dryRun) yield* noteDone("evicted", { libraryId, documents: evicted.length })
      return evicted
    }),
    suspend: ({ params: { libraryId }, payload }) => changeLibrary("suspended", libraryId, payload, suspend),
    resume: ({ params: { libraryId }, payload }) => changeLibrary("resumed", libraryId, payload, resume),
    revoke: ({ params: { libraryId }, payload: { whose, ...why } }) =>
      changeLibrary("revoked", libraryId, why, (_, by) => {
        const { tokenId, userId } = whose
        return revoke(
          { libraryId, ...(tokenId !== undefined ? { tokenId } : userId !== undefined ? { userId } : {}) },
          by
        )
      }),
    setQuota: ({ params: { libraryId }, payload: { quota, ...why } }) =>
      changeLibrary("quota set", libraryId, why, (_, by) => setQuota(libraryId, quota as QuotaChange, by))
  })
)

const documents = HttpApiBuilder.group(AdminApi, "documents", (handlers) =>
  handlers.handleAll({
    list: Effect.fnUntraced(function* ({ params: { libraryId }, query: { after, limit = PAGE } }) {
      yield* knownLibrary(libraryId)
      const page = yield* EventLog.use((log) =>
        orUnavailable(
          log.streams({ libraryId, limit, ...(after !== undefined && { after: { libraryId, streamId: after } }) })
        )
      )
      return page.filter(({ key }) => !key.streamId.startsWith("@")).map(summaryOf)
    }),
    show: Effect.fnUntraced(function* ({ params: { documentId, libraryId } }) {
      const found = yield* orUnavailable(showDocument(libraryId, documentId))
      if (found === undefined) return yield* noSuchDocument(libraryId, documentId)
      const { activeSnapshotId = null, chain, clocks, evictedSnapshotId = null, updates } = found
      return { ...summaryOf(found), chain, activeSnapshotId, updates, clocks, evictedSnapshotId }
    }),
    events: Effect.fnUntraced(function* ({ params: { documentId, libraryId }, query: { after = 0, limit = PAGE } }) {
      const page = yield* EventLog.use((log) =>
        orUnavailable(log.read({ libraryId, streamId: documentId }, { after, limit, payloads: false }))
      )
      if (page.length === 0 && after === 0) return yield* noSuchDocument(libraryId, documentId)
      return page.map(({ event: { chain, data, origin, payloadHash, recordedAt, type, version } }) => ({
        ...{ version, type, origin, recordedAt, payloadHash, chain },
        data: data as Schema.Json
      }))
    })
  })
)

const server = HttpApiBuilder.group(AdminApi, "server", (handlers) =>
  handlers.handleAll({
    statistics: () => orUnavailable(statistics({})),
    metrics: () => PrometheusMetrics.format(),
    connections: ({ query: { libraryId, userId } }) =>
      Connections.useSync(({ list }) =>
        list()
          .filter((each) => libraryId === undefined || each.libraryId === libraryId)
          .filter((each) => userId === undefined || each.userId === userId)
          .map(({ documentId = null, tokenId = null, ...rest }) => ({ ...rest, documentId, tokenId }))
      ),
    disconnect: Effect.fnUntraced(function* ({ payload: { id, libraryId, userId } }) {
      const { disconnect } = yield* Connections
      const disconnected = disconnect(
        (each) =>
          (id === undefined || each.id === id) &&
          (libraryId === undefined || each.libraryId === libraryId) &&
          (userId === undefined || each.userId === userId)
      )
      yield* noteDone("disconnected", { connections: disconnected, id, libraryId, userId })
      return { disconnected }
    })
  })
)

// ------------------------------------------------------------------------------------------------------------- shared

const knownLibrary = Effect.fnUntraced(function* (libraryId: LibraryId) {
  const details = yield* orUnavailable(showLibrary(libraryId))
  return details ?? (yield* new NotInLog({ message: `The log has no library ${libraryId}.` }))
})

const noSuchDocument = (libraryId: LibraryId, documentId: string) =>
  new NotInLog({ message: `The library ${libraryId} has no document ${documentId}.` })

const changeLibrary = Effect.fnUntraced(function* <R>(
  done: string,
  libraryId: LibraryId,
  { reason }: { readonly reason?: string },
  change: (libraryId: LibraryId, by: Attribution) => Effect.Effect<boolean, StorageUnavailable, R>
) {
  yield* knownLibrary(libraryId)
  const by = { operator: yield* CurrentOperator, ...(reason !== undefined && { reason }) }
  const changed = yield* orUnavailable(change(libraryId, by))
  if (changed) yield* noteDone(done, { libraryId })
  return { changed }
})

/** A line for each deed of an operator, since an eviction and a disconnection leave no event that names the operator. */
const noteDone = Effect.fnUntraced(function* (done: string, fields: Readonly<Record<string, unknown>>) {
  const operator = yield* CurrentOperator
  const known = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  yield* Effect.annotateLogs(Effect.logInfo(`operator: ${done}`), { operator, ...known })
})

const summaryOf = ({ createdAt, key, payloadBytes, payloads, updatedAt, version }: StreamSummary) => ({
  ...{ documentId: key.streamId, version, payloads, payloadBytes, createdAt, updatedAt }
})

const orUnavailable = <A, R>(
  effect: Effect.Effect<A, StorageUnavailable | BlobStoreUnavailable, R>
): Effect.Effect<A, Unavailable, R> => Effect.mapError(effect, ({ message }) => new Unavailable({ message }))
