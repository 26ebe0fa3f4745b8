/** The quota of each library: the server's, with the parts that an operator set for the library in their place. */
import { Context, Effect, Layer, type Scope } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { defaultQuota, type Quota, type QuotaChange } from "../domain/Quota.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import { Administrations } from "./Administrations.ts"

export class Quotas extends Context.Service<
  Quotas,
  {
    /** Returns a function that tells a library's quota as it is at that moment, until the scope closes. */
    readonly of: (libraryId: LibraryId) => Effect.Effect<() => Quota, StorageUnavailable, Scope.Scope>
  }
>()("@sealog/server/Quotas") {
  /** `quota`: of libraries for which no operator set another. Default: `defaultQuota`. */
  static readonly layer = (quota: QuotaChange = {}) =>
    Layer.effect(
      Quotas,
      Effect.gen(function* () {
        const administrations = yield* Administrations
        const ofServer: Quota = { ...defaultQuota, ...quota }
        return Quotas.of({
          of: (libraryId) =>
            Effect.map(administrations.get(libraryId), (administration) => {
              let change: QuotaChange = {}
              let quota = ofServer
              return () => {
                const now = administration.state().quota
                // Every decision asks.
                if (now !== change) [change, quota] = [now, { ...ofServer, ...now }]
                return quota
              }
            })
        })
      })
    ).pipe(Layer.provide(Administrations.layer))
}
