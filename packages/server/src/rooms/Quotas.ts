/** The quota of each library: the operator's parts before the app's, and the app's before those of the server. */
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { defaultQuota, type Quota, type QuotaChange, withinBounds } from "../domain/Quota.ts"
import { memoryOf } from "../domain/verdant/LibraryMemory.ts"
import { heapLimit } from "../internal/MemoryPressure.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import { Administrations } from "./Administrations.ts"
import { makeLogUses, type OpenLogUse } from "./LogUses.ts"

/** The parts of a library's quota that the app sets; undefined: none. See `SyncServerOptions.quotaOf`. */
export type QuotaPolicy = (libraryId: LibraryId) => QuotaChange | undefined

const noPolicy: QuotaPolicy = () => undefined

/** The most that one library takes of the heap, as a part of it: the other libraries of the process need the rest. */
const SHARE_OF_HEAP = 1 / 2

/**
 * The quota of libraries for which neither an operator nor the app sets another: the server's own parts, and the defaults. In a
 * heap below 943 MiB, the defaults of the parts that take memory are smaller. `heap`: its bytes.
 */
export const quotaOfServer = (own: QuotaChange = {}, heap = heapLimit()): Quota => {
  const share = Math.min(1, (heap * SHARE_OF_HEAP) / memoryOf(defaultQuota))
  const part = (name: "objects" | "operations" | "bytes") => ({ [name]: Math.floor(defaultQuota[name] * share) })
  return { ...defaultQuota, ...part("objects"), ...part("operations"), ...part("bytes"), ...withinBounds(own) }
}

/** How long the app's answer counts, in milliseconds. Every decision asks for the quota. */
const POLICY_MILLIS = 1000

export class Quotas extends Context.Service<
  Quotas,
  {
    /** The quota of a library for which no operator set another: the app's parts before the server's. */
    readonly byDefault: (libraryId: LibraryId) => Quota
    /** Returns a function that tells a library's quota as it is at that moment, until the scope closes. */
    readonly of: (libraryId: LibraryId) => Effect.Effect<() => Quota, StorageUnavailable, Scope.Scope>
    /** The use that a library makes of the log, until the scope closes. */
    readonly logUse: (libraryId: LibraryId) => Effect.Effect<OpenLogUse, never, Scope.Scope>
  }
>()("@sealog/server/Quotas") {
  /** `quota`: of libraries for which neither an operator nor `policy` sets another. Default: `quotaOfServer()`. */
  static readonly layer = (quota: QuotaChange = {}, policy: QuotaPolicy = noPolicy) =>
    Layer.effect(
      Quotas,
      Effect.gen(function* () {
        const administrations = yield* Administrations
        const clock = yield* Clock.Clock
        const ofServer = quotaOfServer(quota)
        const byDefault = (libraryId: LibraryId): Quota => ({ ...ofServer, ...withinBounds(policy(libraryId) ?? {}) })
        return Quotas.of({
          byDefault,
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
                merged = { ...byDefault(libraryId), ...change }
                ofOperator = change
                askedAt = now
                return merged
              }
            })
        })
      })
    ).pipe(Layer.provide(Administrations.layer))
}
