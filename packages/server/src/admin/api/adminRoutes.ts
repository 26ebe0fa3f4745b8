/**
 * The server's side of `AdminApi`, as routes for `SyncServer`. Each handler calls the same function as the command of the same
 * name, so that an operator may do neither more nor less than with `sync-admin` on the database.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Duration, Effect, Layer, Option, Queue, Redacted, type Schema, Stream } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import {
  type Attribution,
  fold,
  isRevoked,
  libraryAdministration,
  serverAdministration
} from "../../domain/Administration.ts"
import { errorText } from "../../domain/errorText.ts"
import type { LibraryId } from "../../domain/Ids.ts"
import { type WebhookId, webhookStream } from "../../domain/webhooks/Events.ts"
import { AdminAccess, type Administrator } from "../../ports/AdminAccess.ts"
import { BlobStore, type BlobStoreUnavailable } from "../../ports/BlobStore.ts"
import { Connections, isNamed } from "../../ports/Connections.ts"
import { EventLog, type StorageUnavailable, type StreamSummary } from "../../ports/EventLog.ts"
import { Signals } from "../../ports/Signals.ts"
import { CurrentWorkers } from "../../ports/Workers.ts"
import { GrownStreams } from "../../protocols/changes/GrownStreams.ts"
import { VerdantLibraries } from "../../protocols/verdant/VerdantLibraries.ts"
import { Quotas } from "../../rooms/Quotas.ts"
import { type Creation, createDocument } from "../Creation.ts"
import { allowAgain, deleteForGood } from "../Deletion.ts"
import { eachEvent, type LoggedEvent } from "../Events.ts"
import { evict } from "../Eviction.ts"
import { isEvicted, showDocument, showLibrary } from "../Inspect.ts"
import { documentSnapshot, forceTruant } from "../InspectVerdant.ts"
import { documentBytesIn, quotaOf, quotaUse, resetQuota, setQuota } from "../LibraryQuota.ts"
import { makeNearestQuotas } from "../NearestQuota.ts"
import { prune } from "../Pruning.ts"
import { forgetKeys, isSuspended, resume, revocations, revoke, suspend } from "../Revocation.ts"
import { statistics } from "../Statistics.ts"
import {
  addWebhook,
  listWebhooks,
  type NoSuchWebhook,
  removeWebhook,
  replayWebhook,
  showWebhook,
  testWebhook
} from "../Webhooks.ts"
import {
  ADMIN_API_PATH,
  type AdminAnswers,
  AdminApi,
  Authorization,
  CurrentOperator,
  LibraryDamaged,
  NotAdministrator,
  NotInLog,
  Unavailable,
  WebhooksFull
} from "./AdminApi.ts"

const PAGE = 100
/** Events without `last` or `after`. */
const LAST = 50
/** The time between two looks for events of this process. */
const LOOK = "1 second"
/** How long a receiver may take for a test message. */
const TEST_TIMEOUT = Duration.seconds(15)
/** The events of operators about a library that are listed. */
const DEEDS = 100

export interface AdminRoutesOptions {
  /** The size of the log on disk, in bytes. Default: the API answers that it does not know it. */
  readonly diskBytes?: Effect.Effect<number, StorageUnavailable>
}

/** Routes for `SyncServerOptions.routes`. They need an `AdminAccess`, for example `JwtAccess.layerAdminConfig`. */
export const adminRoutes = <E, R>(access: Layer.Layer<AdminAccess, E, R>, options: AdminRoutesOptions = {}) =>
  HttpApiBuilder.layer(AdminApi, { openapiPath: `${ADMIN_API_PATH}/openapi.json` }).pipe(
    Layer.provide([libraries, documents, webhooks, server(options)]),
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

const libraries = HttpApiBuilder.group(
  AdminApi,
  "libraries",
  Effect.fnUntraced(function* (handlers) {
    const quotas = yield* Quotas
    const withNearestQuotas = yield* makeNearestQuotas(quotas.byDefault)
    return handlers.handleAll({
      list: ({ query: { after, limit = PAGE } }) =>
        EventLog.use((log) =>
          fullPage(
            limit,
            (limit, last: LibraryId | undefined = after) =>
              log.libraries({ limit, ...(last !== undefined && { after: last }) }),
            ({ libraryId }) => libraryId
          )
        ).pipe(Effect.flatMap(withNearestQuotas), orUnavailable),
      show: Effect.fnUntraced(function* ({ params: { libraryId } }) {
        const details = yield* orUnavailable(showLibrary(libraryId))
        if (details === undefined) return yield* noSuchLibrary(libraryId)
        const [suspended, quota] = yield* orUnavailable(Effect.all([isSuspended(libraryId), quotaOf(libraryId)]))
        return { ...details, suspended, quota }
      }),
      verdant: Effect.fnUntraced(function* ({ params: { libraryId } }) {
        yield* knownLibrary(libraryId)
        return (yield* orDamaged(VerdantLibraries.use((all) => orUnavailable(all.info(libraryId))))) ?? null
      }),
      verdantDocument: Effect.fnUntraced(function* ({ params: { libraryId }, query: { collection, id } }) {
        yield* knownLibrary(libraryId)
        const snapshot = yield* orDamaged(orUnavailable(documentSnapshot(libraryId, collection, id)))
        if (snapshot === undefined) return yield* noSuchDocument(libraryId, `${collection}/${id}`)
        return { snapshot: snapshot as Schema.Json }
      }),
      truant: Effect.fnUntraced(function* ({ params: { libraryId, replicaId } }) {
        yield* knownLibrary(libraryId)
        const changed = yield* orUnavailable(forceTruant(libraryId, replicaId))
        if (changed) yield* noteDone("replica marked as truant", { libraryId, replicaId })
        return { changed }
      }),
      evict: Effect.fnUntraced(function* ({ params: { libraryId }, payload: { documentId, dryRun = false } }) {
        yield* knownLibrary(libraryId)
        const target = { libraryId, dryRun, ...(documentId !== undefined && { documentId }) }
        const evicted = yield* orUnavailable(evict(target))
        if (!dryRun) yield* noteDone("evicted", { libraryId, documents: evicted.length })
        return { documents: evicted, filesDeleted: !dryRun && (yield* hasFiles) }
      }),
      delete: Effect.fnUntraced(function* ({ params: { libraryId }, payload }) {
        const { documentId, dryRun = false } = payload
        if (payload.newLibrary !== true) yield* knownLibrary(libraryId)
        const target = { libraryId, ...(documentId !== undefined && { documentId }) }
        const deleted = yield* orUnavailable(deleteForGood(target, { dryRun, by: yield* attributionOf(payload) }))
        if (!dryRun) yield* noteDone("deleted", { libraryId, documentId, documents: deleted.length })
        return { documents: deleted, filesDeleted: !dryRun && (yield* hasFiles) }
      }),
      allowAgain: ({ params: { libraryId }, payload }) => {
        const { documentId } = payload
        const target = { libraryId, ...(documentId !== undefined && { documentId }) }
        return changeLibrary("allowed again", libraryId, payload, (_, by) =>
          Effect.map(allowAgain(target, by), (streams) => streams > 0)
        )
      },
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
      revocations: Effect.fnUntraced(function* ({ params: { libraryId } }) {
        yield* knownLibrary(libraryId)
        return yield* orUnavailable(revocations(libraryId))
      }),
      forgetKeys: ({ params: { libraryId }, payload: { userId, ...why } }) =>
        changeLibrary("signing keys forgotten", libraryId, why, (_, by) => forgetKeys(libraryId, userId, by)),
      administration: Effect.fnUntraced(function* ({ params: { libraryId } }) {
        yield* knownLibrary(libraryId)
        const events: Array<AdminAnswers["LoggedEvent"]> = []
        const read = eachEvent(libraryAdministration(libraryId), { from: { last: DEEDS }, follow: false }, (page) =>
          Effect.sync(() => void events.push(...page.map(asJson)))
        )
        // A library that no operator did anything to has no such stream.
        yield* orUnavailable(Effect.catchTag(read, "NoSuchStream", () => Effect.void))
        return events
      }),
      quota: Effect.fnUntraced(function* ({ params: { libraryId } }) {
        yield* knownLibrary(libraryId)
        const [quota, use] = yield* orDamaged(orUnavailable(Effect.all([quotaOf(libraryId), quotaUse(libraryId)])))
        // The app's `quotaOf` may throw, and an operator has to see the rest then.
        const byDefault = yield* Effect.option(Effect.try(() => quotas.byDefault(libraryId)))
        return { quota, atMost: Option.isNone(byDefault) ? null : { ...byDefault.value, ...quota }, use }
      }),
      setQuota: ({ params: { libraryId }, payload: { quota, ...why } }) =>
        changeLibrary("quota set", libraryId, why, (_, by) =>
          quota === "default" ? resetQuota(libraryId, by) : setQuota(libraryId, quota, by)
        )
    })
  })
)

const documents = HttpApiBuilder.group(
  AdminApi,
  "documents",
  Effect.fnUntraced(function* (handlers) {
    const { byDefault } = yield* Quotas
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ params: { libraryId }, query: { after, limit = PAGE } }) {
        yield* knownLibrary(libraryId)
        const page = yield* EventLog.use((log) =>
          fullPage(
            limit,
            (limit, last: string | undefined = after) =>
              log.streams({ libraryId, limit, ...(last !== undefined && { after: { libraryId, streamId: last } }) }),
            ({ key }) => key.streamId
          ).pipe(orUnavailable)
        )
        const documentBytes = yield* orUnavailable(documentBytesIn(libraryId, byDefault))
        return page.map((stream) => ({ ...summaryOf(stream), documentBytes: documentBytes(stream) }))
      }),
      create: Effect.fnUntraced(function* ({ params: { libraryId }, payload: { documentId, newLibrary } }) {
        if (newLibrary !== true) yield* knownLibrary(libraryId)
        const outcome: Creation = yield* orUnavailable(createDocument(libraryId, documentId))
        if (outcome === "created") yield* noteDone("document created", { libraryId, documentId })
        return { outcome }
      }),
      show: Effect.fnUntraced(function* ({ params: { documentId, libraryId } }) {
        yield* knownLibrary(libraryId)
        const found = yield* orUnavailable(showDocument(libraryId, documentId))
        if (found === undefined) return yield* noSuchDocument(libraryId, documentId)
        const { activeSnapshotId = null, chain, clocks, evictedSnapshotId = null, updates } = found
        const documentBytes = (yield* orUnavailable(documentBytesIn(libraryId, byDefault)))(found)
        return { ...summaryOf(found), documentBytes, chain, activeSnapshotId, updates, clocks, evictedSnapshotId }
      }),
      events: Effect.fnUntraced(function* ({ params: { documentId, libraryId }, query: { after = 0, limit = PAGE } }) {
        const page = yield* EventLog.use((log) =>
          orUnavailable(log.read({ libraryId, streamId: documentId }, { after, limit, payloads: false }))
        )
        if (page.length === 0 && after === 0) return yield* noSuchDocument(libraryId, documentId)
        return page.map(({ event: { chain, data, origin, payloadHash, recordedAt, type, version } }) => ({
          ...{ version, type, origin, recordedAt, payloadHash, chain },
          payloadBytes: storedBytesOf(data),
          data: data as Schema.Json
        }))
      })
    })
  })
)

const webhooks = HttpApiBuilder.group(
  AdminApi,
  "webhooks",
  Effect.fnUntraced(function* (handlers) {
    const grown = yield* GrownStreams
    const noteChanged = (done: string, webhookId: WebhookId) =>
      Effect.andThen(
        Effect.sync(() => grown.tell(webhookStream(webhookId))),
        // Without the URL: a receiver may have its password in it.
        noteDone(done, { webhookId })
      )
    return handlers.handleAll({
      list: () => orUnavailable(listWebhooks()),
      add: Effect.fnUntraced(function* ({ payload: { newLibrary, reason, ...webhook } }) {
        if (newLibrary !== true) yield* Effect.forEach(webhook.libraries ?? [], knownLibrary, { discard: true })
        const by = yield* attributionOf(reason === undefined ? {} : { reason })
        const added = yield* addWebhook(webhook, by).pipe(
          Effect.catchTag("TooManyWebhooks", ({ message }) => Effect.fail(new WebhooksFull({ message }))),
          Effect.catchTag("StorageUnavailable", ({ message }) => Effect.fail(new Unavailable({ message })))
        )
        yield* noteChanged("webhook added", added.id)
        return added
      }),
      show: ({ params: { webhookId } }) => orNoSuchWebhook(showWebhook(webhookId)),
      remove: Effect.fnUntraced(function* ({ params: { webhookId }, payload }) {
        yield* orNoSuchWebhook(removeWebhook(webhookId, yield* attributionOf(payload)))
        yield* noteChanged("webhook removed", webhookId)
        return { changed: true }
      }),
      replay: Effect.fnUntraced(function* ({ params: { webhookId }, payload: { reason, ...replay } }) {
        if (replay.libraryId !== undefined) yield* knownLibrary(replay.libraryId)
        const by = yield* attributionOf(reason === undefined ? {} : { reason })
        const libraries = yield* orNoSuchWebhook(replayWebhook(webhookId, replay, by))
        yield* noteChanged("webhook replayed", webhookId)
        return { libraries }
      }),
      test: Effect.fnUntraced(function* ({ params: { webhookId } }) {
        const outcome = yield* orNoSuchWebhook(testWebhook(webhookId, TEST_TIMEOUT))
        return outcome._tag === "Delivered" ? { status: outcome.status } : { problem: outcome.problem }
      })
    })
  })
)

const orNoSuchWebhook = <A, R>(
  effect: Effect.Effect<A, StorageUnavailable | NoSuchWebhook, R>
): Effect.Effect<A, NotInLog | Unavailable, R> =>
  Effect.mapError(effect, (error) =>
    error._tag === "NoSuchWebhook"
      ? new NotInLog({ what: "webhook", message: error.message })
      : new Unavailable({ message: error.message })
  )

/** The size that an event's data notes. The data of a damaged event may be any JSON. */
const storedBytesOf = (data: object | null): number | null =>
  data !== null && "payloadBytes" in data && Number.isSafeInteger(data.payloadBytes)
    ? (data.payloadBytes as number)
    : null

const server = ({ diskBytes }: AdminRoutesOptions) =>
  HttpApiBuilder.group(AdminApi, "server", (handlers) =>
    handlers.handleAll({
      statistics: Effect.fnUntraced(function* ({ query: { libraryId } }) {
        if (libraryId !== undefined) yield* knownLibrary(libraryId)
        const found = yield* orUnavailable(statistics(libraryId === undefined ? {} : { libraryId }))
        return { ...found, diskBytes: diskBytes === undefined ? null : yield* orUnavailable(diskBytes) }
      }),
      events: Effect.fnUntraced(function* ({ query: { after, follow, last = LAST, libraryId, streamId } }) {
        const scope = { libraryId: libraryId as LibraryId, ...(streamId !== undefined && { streamId }) }
        const found = yield* EventLog.use((log) => orUnavailable(log.streams({ ...scope, limit: 1 })))
        if (found.length === 0 && streamId === undefined) return yield* noSuchLibrary(libraryId)
        if (found.length === 0) return yield* noSuchDocument(scope.libraryId, streamId ?? "")
        const from = after === undefined ? { last } : { after }
        const services = yield* Effect.context<EventLog | Signals>()
        const signals = yield* Signals
        // Signals name the streams that other processes write. The looks find the events of this process.
        const looks = Stream.map(Stream.tick(LOOK), () => "all" as const)
        const watching = { ...signals, wakeups: Stream.merge(signals.wakeups, looks) }
        return Stream.callback<LoggedEvent>(
          (queue) =>
            eachEvent(scope, { from, follow: follow === "true" }, (page) => Queue.offerAll(queue, page)).pipe(
              Effect.provideService(Signals, watching),
              Effect.provide(services),
              Effect.orDie,
              Effect.andThen(Queue.end(queue))
            ),
          { bufferSize: PAGE }
        ).pipe(Stream.map(asJson))
      }),
      prune: Effect.fnUntraced(function* ({ payload }) {
        const { libraryId } = payload
        if (libraryId !== undefined) yield* knownLibrary(libraryId)
        const pruned = yield* orUnavailable(prune(payload))
        if (payload.dryRun !== true) yield* noteDone("pruned", { libraryId, documents: pruned.length })
        return pruned
      }),
      revoke: Effect.fnUntraced(function* ({ payload: { whose, ...why } }) {
        const changed = yield* orUnavailable(revoke(whose, yield* attributionOf(why)))
        if (changed) yield* noteDone("revoked in every library", whose)
        return { changed }
      }),
      revocations: () => orUnavailable(revocations()),
      metrics: () => Effect.flatMap(CurrentWorkers, (workers) => workers?.metrics ?? PrometheusMetrics.format()),
      connections: Effect.fnUntraced(function* ({ query }) {
        const own = yield* Connections
        const all = yield* (yield* CurrentWorkers)?.connections ?? Effect.sync(own.list)
        return all
          .filter(isNamed(query))
          .map(({ documentId = null, tokenId = null, ...rest }) => ({ ...rest, documentId, tokenId }))
      }),
      disconnect: Effect.fnUntraced(function* ({ payload: { id, libraryId, userId } }) {
        const own = yield* Connections
        const named = { id, libraryId, userId }
        const workers = yield* CurrentWorkers
        const disconnected = yield* workers?.disconnect(named) ?? Effect.sync(() => own.disconnect(isNamed(named)))
        yield* noteDone("disconnected", { connections: disconnected, id, libraryId, userId })
        return { disconnected }
      })
    })
  )

// ------------------------------------------------------------------------------------------------------------- shared

/**
 * A page of at most `limit` entries, without those of the server's own, whose names begin with @. It reads on in place of them, so
 * that a shorter page is the last one.
 */
const fullPage = Effect.fnUntraced(function* <A, Name extends string, E>(
  limit: number,
  read: (limit: number, after: Name | undefined) => Effect.Effect<ReadonlyArray<A>, E>,
  nameOf: (entry: A) => Name
) {
  const found: Array<A> = []
  let last: Name | undefined
  while (true) {
    const asked = limit - found.length
    const page = yield* read(asked, last)
    found.push(...page.filter((entry) => !nameOf(entry).startsWith("@")))
    if (page.length < asked || found.length === limit) return found
    last = nameOf(page.at(-1)!)
  }
})

const knownLibrary = Effect.fnUntraced(function* (libraryId: LibraryId) {
  const streams = yield* EventLog.use((log) => orUnavailable(log.countStreams(libraryId)))
  if (streams === 0) return yield* noSuchLibrary(libraryId)
})

const noSuchLibrary = (libraryId: string) =>
  new NotInLog({ what: "library", message: `The log has no library ${libraryId}.` })

const noSuchDocument = (libraryId: LibraryId, documentId: string) =>
  new NotInLog({ what: "document", message: `The library ${libraryId} has no document ${documentId}.` })

const changeLibrary = Effect.fnUntraced(function* <R>(
  done: string,
  libraryId: LibraryId,
  why: { readonly reason?: string; readonly newLibrary?: boolean },
  change: (libraryId: LibraryId, by: Attribution) => Effect.Effect<boolean, StorageUnavailable, R>
) {
  if (why.newLibrary !== true) yield* knownLibrary(libraryId)
  const changed = yield* orUnavailable(change(libraryId, yield* attributionOf(why)))
  if (changed) yield* noteDone(done, { libraryId })
  return { changed }
})

const asJson = (event: LoggedEvent) => ({ ...event, data: event.data as Schema.Json })

const attributionOf = ({ reason }: { readonly reason?: string }): Effect.Effect<Attribution, never, CurrentOperator> =>
  Effect.map(CurrentOperator, (operator) => ({ operator, ...(reason !== undefined && { reason }) }))

/** True if the process has a store of files: the deeds that delete files delete their bytes in it. */
const hasFiles = Effect.map(Effect.serviceOption(BlobStore), Option.isSome)

/** Reading Verdant data decodes every payload, and a damaged one does not decode, which is a defect. */
const orDamaged = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | LibraryDamaged, R> =>
  Effect.catchDefect(effect, (defect) => Effect.fail(new LibraryDamaged({ message: errorText(defect) })))

/** A line for each deed of an operator, since an eviction and a disconnection leave no event that names the operator. */
const noteDone = Effect.fnUntraced(function* (done: string, fields: Readonly<Record<string, unknown>>) {
  const operator = yield* CurrentOperator
  const known = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  yield* Effect.annotateLogs(Effect.logInfo(`operator: ${done}`), { operator, ...known })
})

const summaryOf = (stream: StreamSummary) => {
  const { createdAt, generation, key, payloadBytes, payloads, updatedAt, version } = stream
  const evicted = isEvicted(stream)
  return { documentId: key.streamId, version, generation, payloads, payloadBytes, evicted, createdAt, updatedAt }
}

const orUnavailable = <A, R>(
  effect: Effect.Effect<A, StorageUnavailable | BlobStoreUnavailable, R>
): Effect.Effect<A, Unavailable, R> => Effect.mapError(effect, ({ message }) => new Unavailable({ message }))
