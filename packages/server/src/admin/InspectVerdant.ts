/** Shows a library's Verdant data and its replicas, and marks a replica as truant. */
import { Clock, Duration, Effect, Result } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { contextOfLogAlone } from "../domain/verdant/Context.ts"
import { decide } from "../domain/verdant/Decide.ts"
import { type ReplicaId, VERDANT } from "../domain/verdant/Events.ts"
import { fold } from "../domain/verdant/Evolve.ts"
import { documentSnapshot as snapshotOf } from "../domain/verdant/views/DocumentSnapshot.ts"
import { libraryInfo as infoOf } from "../domain/verdant/views/LibraryInfo.ts"
import { EventLog } from "../ports/EventLog.ts"
import { readLibrary } from "../protocols/verdant/readLibrary.ts"
import { appendDecided } from "./appendDecision.ts"

const DEFAULT_TRUANCY = Duration.days(7)

/** A library's Verdant data; undefined: there is none, or it was evicted and no client has come back. */
export const libraryInfo = Effect.fn("libraryInfo")(function* (
  libraryId: LibraryId,
  options: { readonly replicaTruancy?: Duration.Input } = {}
) {
  const state = yield* readState(libraryId)
  const truancy = Duration.toMillis(options.replicaTruancy ?? DEFAULT_TRUANCY)
  return state && infoOf(state, contextOfLogAlone({ now: yield* Clock.currentTimeMillis, truancy }))
})

const readState = Effect.fnUntraced(function* (libraryId: LibraryId) {
  const { value: state } = yield* readLibrary(yield* EventLog, { libraryId, streamId: VERDANT })
  return state.replicas.size === 0 && state.operations + state.baselines === 0 ? undefined : state
})

/**
 * A document as its users see it, with its objects and lists in place of references; undefined: there is none, or it is too
 * large to be assembled. Private documents are included.
 */
export const documentSnapshot = Effect.fn("documentSnapshot")(function* (
  libraryId: LibraryId,
  collection: string,
  documentId: string
) {
  const state = yield* readState(libraryId)
  return state && Result.getOrUndefined(snapshotOf(state, collection, documentId))
})

/**
 * Marks a replica as truant, so that the server stops waiting for it. Unless it has everything when it comes back, it is
 * reset. Returns false when there is no such replica, or it is truant already.
 */
export const forceTruant = Effect.fn("forceTruant")(function* (libraryId: LibraryId, replicaId: ReplicaId) {
  const context = contextOfLogAlone({ now: yield* Clock.currentTimeMillis, truancy: Number.POSITIVE_INFINITY })
  const decided = yield* appendDecided(
    { libraryId, streamId: VERDANT },
    { origin: "sync-admin replica truant", payloads: true },
    (tail) => decide(fold(tail), { _tag: "MakeTruant", replicaId }, context)
  )
  return Result.isSuccess(decided)
})
