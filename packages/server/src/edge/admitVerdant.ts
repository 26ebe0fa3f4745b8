/** Who may come in by Verdant's way: where its clients put their token, and what becomes of it. */
import type { IncomingMessage } from "node:http"
import { Effect } from "effect"
import { type Access, TokenRefused } from "../ports/Access.ts"
import type { AdmissionControl } from "../rooms/AdmissionControl.ts"
import { bearerOf } from "./http/BearerToken.ts"

/** Where Verdant clients are served, by WebSocket and by HTTP; files are below it. */
export const VERDANT_PATH = "/verdant"

/** A Secsync document of that name is still one: its clients have a session key. */
export const isVerdantPath = (url: string): boolean => {
  const query = url.indexOf("?")
  const path = query === -1 ? url : url.slice(0, query)
  return path === VERDANT_PATH && !(query !== -1 && new URLSearchParams(url.slice(query)).has("sessionKey"))
}

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
