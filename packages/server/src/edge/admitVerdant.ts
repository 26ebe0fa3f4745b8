/** Finds and checks the token of a Verdant client. */
import { Effect } from "effect"
import { parseQuery } from "../internal/parseQuery.ts"
import { type Access, TokenRefused } from "../ports/Access.ts"
import type { AdmissionControl } from "../rooms/AdmissionControl.ts"
import { authenticate, type ClientRequest } from "./authenticate.ts"
import { bearerOf } from "./http/BearerToken.ts"

/** The token of an upgrade: from the headers, else from the query; "" if there is none. */
const tokenOf = ({ headers, url = "/" }: ClientRequest): string => {
  const bearer = bearerOf(headers.authorization, headers["sec-websocket-protocol"])
  if (bearer !== undefined && bearer !== "") return bearer
  const query = url.indexOf("?")
  return query === -1 ? "" : (parseQuery(url.slice(query)).get("token") ?? "")
}

/** Authenticates a client and returns its grant. Fails if the grant does not reach the whole library, or is not admitted now. */
export const admitVerdant = Effect.fnUntraced(function* (
  access: Access["Service"],
  administration: AdmissionControl["Service"],
  request: ClientRequest
) {
  const grant = yield* authenticate(access, request, { protocol: "verdant", token: tokenOf(request) })
  if (grant.documents !== undefined) {
    return yield* new TokenRefused({ reason: "claims", message: "The token is for some of a library's documents." })
  }
  yield* administration.admit(grant, () => {})
  return grant
})
