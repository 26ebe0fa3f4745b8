/** Reading a stream of which nothing is taken that is not as it was written. */
import { Effect } from "effect"
import { emptyHead, type StreamHead } from "../../domain/Stream.ts"
import type { PlacedEvent, StreamSummary } from "../../EventLog.ts"
import { eachPage, type Until } from "./Pages.ts"
import { StreamDamaged } from "./Problems.ts"
import { makeStreamFold, type Report, type Rules } from "./StreamFold.ts"

export interface SoundStreamOptions {
  /** Where to begin: what comes before is not read. Default: at the first event. */
  readonly from?: StreamHead
  readonly until?: Until | undefined
  /** What is checked besides versions, chain values and the hashes of payloads. */
  readonly rules?: ((report: Report) => Rules) | undefined
  /** Told of payloads that are gone though none of these events took them: no other problem leaves the rest sound. */
  readonly onMissing: Report
}

/** Visits a stream's events page by page, fails before the page with the first problem, and says where the stream ends. */
export const eachSoundPage = Effect.fnUntraced(function* <E, R>(
  { key, version: reaches }: StreamSummary,
  { from = emptyHead, until, rules, onMissing }: SoundStreamOptions,
  visit: (page: ReadonlyArray<PlacedEvent>) => Effect.Effect<void, E, R>
) {
  let damage: StreamDamaged | undefined
  const report: Report = (version, problem, detail) => {
    if (problem === "payload-missing") onMissing(version, problem, detail)
    else damage ??= new StreamDamaged({ ...key, version, problem, detail })
  }
  const sound = Effect.suspend(() => damage ?? Effect.void)
  const fold = makeStreamFold(key, report, { from, ...(rules && { rules: rules(report) }) })
  const end = yield* eachPage(
    key,
    { after: from.version, reaches, until },
    {
      page: (page) =>
        Effect.suspend((): Effect.Effect<void, E | StreamDamaged, R> => {
          for (const placed of page) fold.check(placed)
          return damage ?? visit(page)
        }),
      unreadable: (version, why) =>
        Effect.andThen(
          Effect.sync(() => fold.skip(version, why)),
          sound
        )
    }
  )
  // Also what is gone because of an event after `until` is missing from what was read.
  if (end === "cut") fold.endBefore(0)
  else fold.end(end)
  yield* sound
  return fold.head()
})
