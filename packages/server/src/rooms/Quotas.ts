/** The quota of each library: the operator's parts before the app's, and the app's before those of the server. */
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { defaultQuota, type Quota, type QuotaChange } from "../domain/Quota.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import { Administrations } from "./Administrations.ts"
import { makeLogUses, type OpenLogUse } from "./LogUses.ts"

/** The parts of a library's quota that the app sets; undefined: none. See `SyncServerOptions.quotaOf`. */
export type QuotaPolicy = (libraryId: LibraryId) => QuotaChange | undefined

const noPolicy: QuotaPolicy = () => undefined

/** How long the app's answer counts, in milliseconds. Every decision asks for the quota. */
const POLICY_MILLIS = 1000

export class Quotas extends Context.Service<
  Quotas,
  {
    /** Returns a function that tells a library's quota as it is at that moment, until the scope closes. */
    readonly of: (libraryId: LibraryId) => Effect.Effect<() => Quota, StorageUnavailable, Scope.Scope>
    /** The use that a library makes of the log, until the scope closes. */
    readonly logUse: (libraryId: LibraryId) => Effect.Effect<OpenLogUse, never, Scope.Scope>
  }
>()("@sealog/server/Quotas") {
  /** `quota`: of libraries for which neither an operator nor `policy` sets another. Default: `defaultQuota`. */
  static readonly layer = (quota: QuotaChange = {}, policy: QuotaPolicy = noPolicy) =>
    Layer.effect(
      Quotas,
      Effect.gen(function* () {
        const administrations = yield* Administrations
        const clock = yield* Clock.Clock
        const ofServer: Quota = { ...defaultQuota, ...quota }
        return Quotas.of({
          logUse: yield* makeLogUses,
          of: (libraryId) =>
            Effect.map(administrations.get(libraryId), (administration) => {
              let ofOperator: QuotaChange = {}
              let merged = ofServer
              let askedAt = Number.NEGATIVE_INFINITY
              return () => {
                const [change, now] = [administration.state().quota, clock.currentTimeMillisUnsafe()]
                const isStale = policy !== noPolicy && Math.abs(now - askedAt) >= POLICY_MILLIS
                if (change === ofOperator && !isStale) return merged
                merged = { ...ofServer, ...policy(libraryId), ...change }
                ofOperator = change
                askedAt = now
                return merged
              }
            })
        })
      })
    ).pipe(Layer.provide(Administrations.layer))
}
