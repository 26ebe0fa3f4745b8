/** The profiles that peers see. They come from the app's code, which may be slow, fail or throw, and holds up nobody. */
import { Cache, Duration, Effect } from "effect"
import { callApp } from "../../internal/callApp.ts"
import { Profiles } from "../../ports/Profiles.ts"

/** Each answer is kept for so long, also the one that stands in for a failure. */
const TIME_TO_LIVE = "1 minute"
const MAX_PROFILES = 10_000
/** A client waits so long for the answer to its sync. Verdant's client gives up a poll after three seconds. */
const TIMEOUT = Duration.seconds(1)

/** Returns a function that asks the app for a user's profile. Without an answer it is the id alone, and the log says why. */
export const makeProfileCache = Effect.gen(function* () {
  const { get } = yield* Profiles
  const lookup = (userId: string): Effect.Effect<unknown> =>
    Effect.catchCause(
      callApp(TIMEOUT, () => Effect.tap(get(userId), isJson)),
      (cause) =>
        Effect.logError("The app gave no profile of a user; peers see the id alone for a minute", cause).pipe(
          Effect.annotateLogs({ userId }),
          Effect.as({ id: userId })
        )
    )
  const cache = yield* Cache.make({ capacity: MAX_PROFILES, timeToLive: TIME_TO_LIVE, lookup })
  return (userId: string): Effect.Effect<unknown> => Cache.get(cache, userId)
})

/** Dies if the profile could not be sent. */
const isJson = (profile: unknown) => Effect.sync(() => JSON.stringify(profile))
