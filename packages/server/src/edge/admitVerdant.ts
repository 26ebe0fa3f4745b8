/** Who may come in by Verdant's way: where its clients put their token, and what becomes of it. */
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import { type Access, TokenRefused } from "../ports/Access.ts"
import type { AdmissionControl } from "../rooms/AdmissionControl.ts"
import { bearerOf } from "./http/BearerToken.ts"

/** Of an upgrade: in its headers, or in the query. */
export const tokenOf = ({ headers, url = "/" }: Pick<IncomingMessage, "headers" | "url">): string => {
  const bearer = bearerOf(headers.authorization, headers["sec-websocket-protocol"])
  if (bearer !== undefined && bearer !== "") return bearer
  const query = url.indexOf("?")
  return query === -1 ? "" : (new URLSearchParams(url.slice(query)).get("token") ?? "")
}

/** The grant of a token that is good and whose bearer is let in now. */
export const admitVerdant = Effect.fnUntraced(function* (
  access: Access["Service"],
  administration: AdmissionControl["Service"],
  token: string
) {
  const grant = yield* access.verify(token)
  if (grant.documents !== undefined) {
    // It reaches some documents and not all of the library.
    return yield* new TokenRefused({ reason: "claims", message: "The token is for some of a library's documents." })
  }
  yield* administration.admit(grant, () => {})
  return grant
})
