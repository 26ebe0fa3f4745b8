/** User profiles that the server sends to other clients. They come from the app, never from a client. */
import { Context, Effect } from "effect"

/** An app replaces it by a layer: `Layer.succeed(Profiles, { get: (userId) => … })`. By default a profile is the id alone. */
export const Profiles = Context.Reference<{
  /** Returns JSON for the user's peers, kept for a minute. Without an answer within a second, peers see the id alone. */
  readonly get: (userId: string) => Effect.Effect<unknown>
}>("@sealog/server/Profiles", {
  defaultValue: () => ({ get: (userId) => Effect.succeed({ id: userId }) })
})
