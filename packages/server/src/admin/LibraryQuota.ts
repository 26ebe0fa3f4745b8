/** Shows and sets the quota of a library. Servers on the log hold a change within a second. */
import { Effect, Result } from "effect"
import { type Attribution, decide, fold, libraryAdministration, toNewEvent } from "../domain/Administration.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { defaultQuota, type Quota, type QuotaChange } from "../domain/Quota.ts"
import { EventLog, type StreamSummary } from "../ports/EventLog.ts"
import { appendDecided } from "./appendDecision.ts"

/** The parts of a library's quota that an operator set; the others are those of each server. */
export const quotaOf = Effect.fn("quotaOf")(function* (libraryId: LibraryId) {
  const { events } = yield* (yield* EventLog).tail(libraryAdministration(libraryId), { payloads: false })
  return fold(events.map(({ event }) => event)).quota
})

/**
 * Returns a function that tells how much of the quota `documentBytes` a Secsync document of the library uses. It returns null if
 * the quota is not known, because the stream with the library's own is damaged. `byDefault`: as of `makeNearestQuotas`.
 */
export const documentBytesIn = Effect.fn("documentBytesIn")(function* (
  libraryId: LibraryId,
  byDefault: (libraryId: LibraryId) => Quota = () => defaultQuota
) {
  const atMost = yield* quotaOf(libraryId).pipe(
    Effect.map(({ documentBytes = byDefault(libraryId).documentBytes }) => documentBytes),
    Effect.catchDefect(() => Effect.succeed(null))
  )
  return ({ tailBytes }: StreamSummary) => (atMost === null ? null : { use: tailBytes, atMost })
})

/** Sets some parts of a library's quota; the others stay. Returns whether that changed anything. */
export const setQuota = (libraryId: LibraryId, change: QuotaChange, by: Attribution = {}) =>
  write(libraryId, (before) => ({ ...before, ...change }), by)

/** Gives a library the quota of the servers. Returns whether that changed anything. */
export const resetQuota = (libraryId: LibraryId, by: Attribution = {}) => write(libraryId, () => ({}), by)

const write = Effect.fnUntraced(function* (
  libraryId: LibraryId,
  change: (before: QuotaChange) => QuotaChange,
  by: Attribution
) {
  const options = { origin: "sync-admin library quota" }
  const decided = yield* appendDecided(libraryAdministration(libraryId), options, (tail) => {
    const state = fold(tail.map(({ event }) => event))
    const wanted = decide(state, { _tag: "QuotaSet", ...change(state.quota), ...by })
    return Result.map(wanted, (event) => ({ event: toNewEvent(event) }))
  })
  return Result.isSuccess(decided)
})
