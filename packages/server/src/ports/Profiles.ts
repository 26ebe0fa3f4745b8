/** What the server tells clients of each other's users: what an app knows of them, never what a client claims. */
import { Context, Effect } from "effect"

/**
 * An app provides its own by a layer: `Layer.succeed(Profiles, { get: (userId) => … })`. Without one, a profile is
 * nothing but the id.
 */
export const Profiles = Context.Reference<{
  /** JSON for a user's peers. Asked again after a minute. */
  readonly get: (userId: string) => Effect.Effect<unknown>
}>("@sealog/server/Profiles", {
  defaultValue: () => ({ get: (userId) => Effect.succeed({ id: userId }) })
})
