/** The grant of a client: by the app's own sessions, or else by the client's token. */
import type { IncomingMessage } from "node:http"
import type { Effect } from "effect"
import type { DocumentId } from "../domain/Ids.ts"
import type { Access, Grant, TokenRefused } from "../ports/Access.ts"

export interface Credentials {
  readonly protocol: "secsync" | "verdant"
  /** "" if there is none. */
  readonly token: string
  readonly documentId?: DocumentId
}

/** `originalUrl`: set by `NodeHandlers`, and by frameworks that serve a handler under a path. */
export type ClientRequest = Pick<IncomingMessage, "headers" | "url"> & { readonly originalUrl?: string }

export const authenticate = (
  access: Access["Service"],
  { headers, originalUrl, url = "/" }: ClientRequest,
  { documentId, protocol, token }: Credentials
): Effect.Effect<Grant, TokenRefused> =>
  access.authenticate === undefined
    ? access.verify(token)
    : access.authenticate({ protocol, url: originalUrl ?? url, headers, token, documentId })
