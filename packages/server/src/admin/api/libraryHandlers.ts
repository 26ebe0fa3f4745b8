/** The server's side of the group `libraries` of `AdminApi`. */
import { Effect, Option, Result, type Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { libraryAdministration } from "../../domain/Administration.ts"
import type { LibraryId } from "../../domain/Ids.ts"
import { documentSnapshot } from "../../domain/verdant/views/DocumentSnapshot.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { LibraryRooms } from "../../protocols/verdant/Rooms.ts"
import { lookAt } from "../../protocols/verdant/submitTo.ts"
import { VerdantLibraries } from "../../protocols/verdant/VerdantLibraries.ts"
import { Quotas } from "../../rooms/Quotas.ts"
import { allowAgain, deleteForGood } from "../Deletion.ts"
import { eachEvent } from "../Events.ts"
import { evict } from "../Eviction.ts"
import { showLibrary } from "../Inspect.ts"
import { quotaOf, resetQuota, setQuota } from "../LibraryQuota.ts"
import { makeNearestQuotas } from "../NearestQuota.ts"
import { quotaUse, quotaUseOf } from "../QuotaUse.ts"
import { forgetKeys, isSuspended, resume, revocations, revoke, suspend } from "../Revocation.ts"
import type { AdminAnswers } from "./AdminAnswers.ts"
import { AdminApi } from "./AdminApi.ts"
import { attributionOf, changeLibrary, hasFiles, noteDone } from "./deeds.ts"
import { knownLibrary, knownTarget, noSuchDocument, noSuchLibrary, orDamaged, orUnavailable } from "./failures.ts"
import { asJson, fullPage, PAGE } from "./pages.ts"

/** The events of operators about a library that are listed. */
const DEEDS = 100

export const libraryHandlers = HttpApiBuilder.group(
  AdminApi,
  "libraries",
  Effect.fnUntraced(function* (handlers) {
    const quotas = yield* Quotas
    const rooms = yield* LibraryRooms
    /** The library as its clients use it: a copy of its own would take memory that nobody counts. */
    const stateOf = (libraryId: LibraryId) => Effect.provideService(lookAt(libraryId), LibraryRooms, rooms)
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
        const state = yield* orDamaged(orUnavailable(stateOf(libraryId)))
        const snapshot = Result.getOrUndefined(documentSnapshot(state, collection, id))
        if (snapshot === undefined) return yield* noSuchDocument(libraryId, `${collection}/${id}`)
        return { snapshot: snapshot as Schema.Json }
      }),
      truant: Effect.fnUntraced(function* ({ params: { libraryId, replicaId } }) {
        yield* knownLibrary(libraryId)
        const changed = yield* orUnavailable(VerdantLibraries.use((all) => all.forceTruant(libraryId, replicaId)))
        if (changed) yield* noteDone("replica marked as truant", { libraryId, replicaId })
        return { changed }
      }),
      evict: Effect.fnUntraced(function* ({ params: { libraryId }, payload: { documentId, dryRun = false } }) {
        yield* knownTarget({ libraryId, documentId })
        const target = { libraryId, dryRun, ...(documentId !== undefined && { documentId }) }
        const evicted = yield* orUnavailable(evict(target))
        if (!dryRun) yield* noteDone("evicted", { libraryId, documents: evicted.length })
        return { documents: evicted, filesDeleted: !dryRun && (yield* hasFiles) }
      }),
      delete: Effect.fnUntraced(function* ({ params: { libraryId }, payload }) {
        const { documentId, dryRun = false } = payload
        yield* knownTarget({ libraryId, documentId }, payload)
        const target = { libraryId, ...(documentId !== undefined && { documentId }) }
        const deleted = yield* orUnavailable(deleteForGood(target, { dryRun, by: yield* attributionOf(payload) }))
        if (!dryRun) yield* noteDone("deleted", { libraryId, documentId, documents: deleted.length })
        return { documents: deleted, filesDeleted: !dryRun && (yield* hasFiles) }
      }),
      allowAgain: ({ params: { libraryId }, payload }) => {
        const { documentId } = payload
        const target = { libraryId, ...(documentId !== undefined && { documentId }) }
        const allowed = changeLibrary("allowed again", libraryId, payload, (_, by) =>
          Effect.map(allowAgain(target, by), (streams) => streams > 0)
        )
        return Effect.andThen(knownTarget(target, payload), allowed)
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
        yield* orUnavailable(Effect.catchTag(read, "NoSuchStream", Effect.die))
        return events
      }),
      quota: Effect.fnUntraced(function* ({ params: { libraryId } }) {
        yield* knownLibrary(libraryId)
        // The app's `quotaOf` may throw, and an operator has to see the rest then. No room works while it does.
        const byDefault = yield* Effect.option(Effect.try(() => quotas.byDefault(libraryId)))
        const use = Option.isNone(byDefault)
          ? quotaUse(libraryId)
          : Effect.flatMap(stateOf(libraryId), (state) => quotaUseOf(libraryId, state))
        const [quota, used] = yield* orDamaged(orUnavailable(Effect.all([quotaOf(libraryId), use])))
        return { quota, atMost: Option.isNone(byDefault) ? null : { ...byDefault.value, ...quota }, use: used }
      }),
      setQuota: ({ params: { libraryId }, payload: { quota, ...why } }) =>
        changeLibrary("quota set", libraryId, why, (_, by) =>
          quota === "default" ? resetQuota(libraryId, by) : setQuota(libraryId, quota, by)
        )
    })
  })
)
