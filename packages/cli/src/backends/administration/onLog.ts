/** The deeds of an operator on the database. */
import {
  addWebhook,
  allowAgain,
  createDocument,
  deleteForGood,
  documentBytesIn,
  documentSnapshot,
  eachEvent,
  evict,
  forceTruant,
  forgetKeys,
  isEvicted,
  isSuspended,
  libraryInfo,
  listDocuments,
  listWebhooks,
  makeNearestQuotas,
  type NoSuchWebhook,
  prune,
  quotaOf,
  quotaUse,
  removeWebhook,
  replayWebhook,
  resetQuota,
  resume,
  revoke,
  setQuota,
  showDocument,
  showLibrary,
  showWebhook,
  statistics,
  suspend,
  testWebhook
} from "@sealog/server/admin"
import type { BlobStore, EventLog, LibraryId, Signals, StorageUnavailable } from "@sealog/server/ports"
import { listLibraries } from "@sealog/server/ports"
import { chunksOf } from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { noSuchDocument, noSuchLibrary, noSuchWebhook } from "../../output/notFound.ts"
import { requireLibrary } from "../knownLibrary.ts"
import { orLibraryDamaged } from "../readVerdant.ts"
import type { Administration, Change } from "./Administration.ts"

/** How long a receiver may take for a test message. */
const TEST_TIMEOUT = Duration.seconds(15)
/** Libraries whose quotas are asked for at a time. */
const PAGE = 500

interface Options<E> {
  /** The store of uploaded files; undefined: servers delete the files. */
  readonly files: Layer.Layer<BlobStore, E> | undefined
  /** The size of the log on disk. */
  readonly size: Effect.Effect<number, unknown>
}

export const onLog = <E>({ files, size }: Options<E>) =>
  Effect.map(Effect.context<EventLog | Signals>(), (services): Administration => {
    const on = <A, Failure>(deed: Effect.Effect<A, Failure, EventLog | Signals>): Effect.Effect<A, unknown> =>
      Effect.provide(deed, services)
    const onKnown = <A, Failure>(
      libraryId: LibraryId | undefined,
      deed: Effect.Effect<A, Failure, EventLog | Signals>,
      { newLibrary = false }: Change = {}
    ) => on(libraryId === undefined || newLibrary ? deed : Effect.andThen(requireLibrary(libraryId), deed))
    const withFiles = <A, Failure>(
      deed: Effect.Effect<A, Failure, EventLog | Signals>,
      dryRun: boolean
    ): Effect.Effect<A, Failure | E, EventLog | Signals> =>
      files === undefined || dryRun ? deed : Effect.provide(deed, files)
    const deletionOf = (dryRun: boolean) => ({ filesDeleted: files !== undefined && !dryRun })

    return {
      libraries: on(
        Effect.gen(function* () {
          const withNearestQuotas = yield* makeNearestQuotas()
          const pages = chunksOf(yield* listLibraries(), PAGE)
          return (yield* Effect.forEach(pages, withNearestQuotas)).flat()
        })
      ),
      library: (libraryId) =>
        on(
          Effect.gen(function* () {
            const details = yield* showLibrary(libraryId)
            if (details === undefined) return yield* Effect.fail(noSuchLibrary(libraryId))
            return { ...details, suspended: yield* isSuspended(libraryId) }
          })
        ),
      verdant: (libraryId) => onKnown(libraryId, orLibraryDamaged(libraryId, libraryInfo(libraryId))),
      verdantDocument: (libraryId, collection, id) =>
        onKnown(libraryId, orLibraryDamaged(libraryId, documentSnapshot(libraryId, collection, id))),
      truant: (libraryId, replicaId) => onKnown(libraryId, forceTruant(libraryId, replicaId)),
      documents: (libraryId) =>
        on(
          Effect.gen(function* () {
            const streams = yield* listDocuments(libraryId)
            if (streams === undefined) return yield* Effect.fail(noSuchLibrary(libraryId))
            const documentBytes = yield* documentBytesIn(libraryId)
            return streams.map((stream) => ({
              ...stream,
              documentId: stream.key.streamId,
              evicted: isEvicted(stream),
              documentBytes: documentBytes(stream)
            }))
          })
        ),
      document: (libraryId, documentId) =>
        onKnown(
          libraryId,
          Effect.gen(function* () {
            const found = yield* showDocument(libraryId, documentId)
            if (found === undefined) return undefined
            const { activeSnapshotId = null, evictedSnapshotId = null } = found
            const documentBytes = (yield* documentBytesIn(libraryId))(found)
            return {
              ...found,
              documentId,
              evicted: isEvicted(found),
              activeSnapshotId,
              evictedSnapshotId,
              documentBytes
            }
          })
        ),
      createDocument: (libraryId, documentId, change) =>
        onKnown(libraryId, createDocument(libraryId, documentId), change),
      eachEvent: (scope, options, visit) =>
        on(
          Effect.catchTag(eachEvent(scope, options, visit), "NoSuchStream", () =>
            Effect.andThen(
              requireLibrary(scope.libraryId),
              Effect.fail(noSuchDocument(scope.libraryId, scope.streamId ?? ""))
            )
          )
        ),
      evict: (target, { dryRun }) =>
        onKnown(
          target.libraryId,
          Effect.map(withFiles(evict({ ...target, dryRun }), dryRun), (documents) => ({
            documents,
            ...deletionOf(dryRun)
          }))
        ),
      delete: (target, { by = {}, dryRun, newLibrary = false }) =>
        onKnown(
          target.libraryId,
          Effect.map(withFiles(deleteForGood(target, { dryRun, by }), dryRun), (documents) => ({
            documents,
            ...deletionOf(dryRun)
          })),
          { newLibrary }
        ),
      allowAgain: (target, { by, ...change }) =>
        onKnown(target.libraryId, Effect.asVoid(allowAgain(target, by)), change),
      prune: (options) => onKnown(options.libraryId, prune(options)),
      suspend: (libraryId, { by, ...change }) => onKnown(libraryId, suspend(libraryId, by), change),
      resume: (libraryId, { by, ...change }) => onKnown(libraryId, resume(libraryId, by), change),
      revoke: (revocation, { by, ...change }) => onKnown(revocation.libraryId, revoke(revocation, by), change),
      forgetKeys: (libraryId, userId, { by }) => onKnown(libraryId, forgetKeys(libraryId, userId, by)),
      quota: (libraryId) =>
        onKnown(
          libraryId,
          Effect.all({
            quota: quotaOf(libraryId),
            atMost: Effect.succeed(null),
            use: orLibraryDamaged(libraryId, quotaUse(libraryId))
          })
        ),
      setQuota: (libraryId, quota, { by, ...change }) =>
        onKnown(libraryId, quota === "default" ? resetQuota(libraryId, by) : setQuota(libraryId, quota, by), change),
      webhooks: on(listWebhooks()),
      webhook: (id) => on(orNoSuchWebhook(showWebhook(id))),
      addWebhook: (webhook, { by, newLibrary = false }) =>
        on(
          Effect.andThen(
            Effect.forEach(newLibrary ? [] : (webhook.libraries ?? []), requireLibrary),
            addWebhook(webhook, by)
          )
        ),
      removeWebhook: (id, { by }) => on(orNoSuchWebhook(removeWebhook(id, by))),
      replayWebhook: (id, replay, { by }) => onKnown(replay.libraryId, orNoSuchWebhook(replayWebhook(id, replay, by))),
      testWebhook: (id) =>
        on(
          Effect.map(orNoSuchWebhook(testWebhook(id, TEST_TIMEOUT)), (outcome) =>
            outcome._tag === "Delivered" ? { status: outcome.status } : { problem: outcome.problem }
          )
        ),
      statistics: (libraryId) =>
        Effect.all([onKnown(libraryId, statistics(libraryId === undefined ? {} : { libraryId })), size]).pipe(
          Effect.map(([found, diskBytes]) => ({ ...found, diskBytes }))
        )
    }
  })

const orNoSuchWebhook = <A, R>(deed: Effect.Effect<A, StorageUnavailable | NoSuchWebhook, R>) =>
  Effect.mapError(deed, (error) => (error._tag === "NoSuchWebhook" ? noSuchWebhook(error.id) : error))
