/** Shows and sets the quota of a library. Servers on the log hold a change within a second. */
import { Effect, Result } from "effect"
import { type Attribution, decide, fold, libraryAdministration, toNewEvent } from "../domain/Administration.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { defaultQuota, type Quota, type QuotaChange } from "../domain/Quota.ts"
import { VERDANT } from "../domain/verdant/Events.ts"
import { type LibraryUse, useOf } from "../domain/verdant/LibraryQuota.ts"
import type { LibraryState } from "../domain/verdant/State.ts"
import { countDocuments } from "../ports/countDocuments.ts"
import { EventLog, type StreamSummary } from "../ports/EventLog.ts"
import { readLibrary } from "../protocols/verdant/readLibrary.ts"
import { appendDecided } from "./appendDecision.ts"

/** The parts of a library's quota that an operator set; the others are those of each server. */
export const quotaOf = Effect.fn("quotaOf")(function* (libraryId: LibraryId) {
  const { events } = yield* (yield* EventLog).tail(libraryAdministration(libraryId), { payloads: false })
  return fold(events.map(({ event }) => event)).quota
})

/** The use that a library makes of its quota: its Verdant data, the number of its documents, and the log as a whole. */
export const quotaUse = Effect.fn("quotaUse")(function* (libraryId: LibraryId) {
  const { value: state } = yield* readLibrary(yield* EventLog, { libraryId, streamId: VERDANT })
  return yield* quotaUseOf(libraryId, state)
})

/** The same of a library whose Verdant data was read. */
export const quotaUseOf = Effect.fnUntraced(function* (libraryId: LibraryId, state: LibraryState) {
  const documents = yield* countDocuments(libraryId)
  const inLog = yield* EventLog.use((log) => log.use(libraryId))
  return { ...useOf(state, inLog), documents } satisfies LibraryUse & Pick<Quota, "documents">
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
