/** Who sends an HTTP request, and whether he is let in, for as long as the request lasts. */
import { Deferred, Effect } from "effect"
import type { Headers } from "effect/http"
import { Access, type Grant, type TokenRefused } from "../../ports/Access.ts"
import { AdmissionControl, type GrantEnded } from "../../rooms/AdmissionControl.ts"
import { bearerOf } from "./BearerToken.ts"
import { Code, HttpRefusal } from "./HttpRefusal.ts"

export interface Admitted {
  readonly grant: Grant
  /** Fails once the bearer is to leave. */
  readonly ended: Effect.Effect<never, HttpRefusal>
}

export const admitRequest = Effect.fnUntraced(function* (headers: Headers.Headers) {
  const grant = yield* verifyToken(headers)
  return yield* admit(grant)
})

const tokenOf = (headers: Headers.Headers): string | undefined =>
  bearerOf(headers["authorization"], headers["sec-websocket-protocol"])

export const hasToken = (headers: Headers.Headers): boolean => tokenOf(headers) !== undefined

export const admit = Effect.fnUntraced(function* (grant: Grant) {
  const administration = yield* AdmissionControl
  const left = yield* Deferred.make<never, HttpRefusal>()
  yield* administration
    .admit(grant, (reason) => Deferred.doneUnsafe(left, Effect.fail(refusalOfGrant(reason))))
    .pipe(
      Effect.catchTags({
        GrantEnded: (error) => Effect.fail(refusalOfGrant(error)),
        StorageUnavailable: (error) =>
          Effect.andThen(Effect.logWarning(error.message), Effect.fail(new HttpRefusal({ code: Code.unavailable })))
      })
    )
  return { grant, ended: Deferred.await(left) } satisfies Admitted
})

const verifyToken = Effect.fnUntraced(function* (headers: Headers.Headers) {
  const access = yield* Access
  const token = tokenOf(headers)
  if (token === undefined) return yield* new HttpRefusal({ code: Code.noToken })
  return yield* Effect.mapError(access.verify(token), refusalOfToken)
})

const refusalOfToken = ({ reason }: TokenRefused): HttpRefusal =>
  new HttpRefusal({ code: reason === "expired" ? Code.tokenExpired : Code.invalidToken })

/** A suspended library comes back: its clients keep what they have to send, and ask again. */
const refusalOfGrant = ({ reason }: GrantEnded): HttpRefusal =>
  new HttpRefusal({ code: reason === "suspended" ? Code.forbidden : Code.invalidToken })
