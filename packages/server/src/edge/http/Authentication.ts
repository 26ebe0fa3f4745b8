/** Authenticates an HTTP request by its bearer token, or by the app's own sessions, and admits its grant for as long as the request lasts. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Deferred, Effect } from "effect"
import { type Headers, HttpServerRequest } from "effect/http"
import type { DocumentId } from "../../domain/Ids.ts"
import { Access, type Grant, type TokenRefused } from "../../ports/Access.ts"
import { AdmissionControl, type GrantEnded } from "../../rooms/AdmissionControl.ts"
import { authenticate, type ClientRequest } from "../authenticate.ts"
import { bearerOf } from "./BearerToken.ts"
import { Code, HttpRefusal } from "./HttpRefusal.ts"

export interface Admitted {
  readonly grant: Grant
  /** Fails once the grant is revoked or its library is suspended. */
  readonly ended: Effect.Effect<never, HttpRefusal>
}

/** Whether a request names a token, or tries to: an empty or malformed one counts. */
export const hasToken = (headers: Headers.Headers): boolean => tokenOf(headers) !== undefined

/**
 * Verifies a request's token, or asks the app for its grant, and admits the grant. Refuses with 4010, 4011, 4012, or as
 * `admitGrant` does.
 */
export const admitClient = Effect.suspend(() => admitClientOf(undefined))

/** As `admitClient`, for a request about a Secsync document; undefined: about a library's Verdant data. */
export const admitClientOf = Effect.fnUntraced(function* (documentId: DocumentId | undefined) {
  const access = yield* Access
  const request = yield* HttpServerRequest.HttpServerRequest
  const token = tokenOf(request.headers)
  if (token === undefined && access.authenticate === undefined) return yield* new HttpRefusal({ code: Code.noToken })
  const incoming = NodeHttpServerRequest.toIncomingMessage(request) as ClientRequest
  const grant = authenticate(access, incoming, {
    ...(documentId === undefined ? { protocol: "verdant" } : { protocol: "secsync", documentId }),
    token: token ?? ""
  })
  return yield* admitGrant(yield* Effect.mapError(grant, refusalOfToken))
})

/**
 * Admits a grant, for as long as the scope is open. Refuses with 4011 when it is revoked, with 4030 when its library was
 * deleted, with 5031 while its library is suspended, and with 5030 when the log cannot be read.
 */
export const admitGrant = Effect.fnUntraced(function* (grant: Grant) {
  const admission = yield* AdmissionControl
  const end = yield* Deferred.make<never, HttpRefusal>()
  yield* admission
    .admit(grant, (reason) => Deferred.doneUnsafe(end, Effect.fail(refusalOfGrant(reason))))
    .pipe(
      Effect.catchTags({
        GrantEnded: (error) => Effect.fail(refusalOfGrant(error)),
        StorageUnavailable: (error) =>
          Effect.andThen(Effect.logWarning(error.message), Effect.fail(new HttpRefusal({ code: Code.unavailable })))
      })
    )
  return { grant, ended: Deferred.await(end) } satisfies Admitted
})

const tokenOf = (headers: Headers.Headers): string | undefined =>
  bearerOf(headers["authorization"], headers["sec-websocket-protocol"])

const refusalOfToken = ({ reason }: TokenRefused): HttpRefusal => {
  if (reason === "unavailable") return new HttpRefusal({ code: Code.unavailable })
  return new HttpRefusal({ code: reason === "expired" ? Code.tokenExpired : Code.invalidToken })
}

const refusalOfGrant = ({ reason }: GrantEnded): HttpRefusal => new HttpRefusal({ code: codes[reason] })

const codes: Readonly<Record<GrantEnded["reason"], number>> = {
  revoked: Code.invalidToken,
  // Not 4011: the client keeps its unsent changes.
  deleted: Code.forbidden,
  // Not 4030: the Verdant client stops asking for good at any status below 500.
  suspended: Code.suspended
}
