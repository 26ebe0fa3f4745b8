/** The grant of a client: by the app's own sessions, or else by the client's token. */
import type { IncomingMessage } from "node:http"
import { Effect, Schema } from "effect"
import type { DocumentId } from "../domain/Ids.ts"
import { type Access, Grant, TokenRefused } from "../ports/Access.ts"

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
    ? verifyToken(access, token)
    : wellFormed(access.authenticate({ protocol, url: originalUrl ?? url, headers, token, documentId }))

/** The grant of a token. */
export const verifyToken = (access: Access["Service"], token: string): Effect.Effect<Grant, TokenRefused> =>
  wellFormed(access.verify(token))

/** Refuses a grant of the app's own `Access` that the server could not store or show, before it reaches the log or a client. */
const wellFormed = (grant: Effect.Effect<Grant, TokenRefused>): Effect.Effect<Grant, TokenRefused> =>
  Effect.tap(grant, (grant) => {
    const field = malformedField({ ...grant })
    if (field === undefined) return Effect.void
    const message = `The app's Access gave a grant with a malformed ${field}.`
    return Effect.andThen(Effect.logError(message), Effect.fail(new TokenRefused({ reason: "claims", message })))
  })

const checks = Object.entries(Grant.fields).map(([field, schema]) => [field, Schema.is(schema)] as const)

/** The name of the first field that is malformed. Its value belongs to a user, and is not logged. */
const malformedField = (grant: Readonly<Record<string, unknown>>): string | undefined =>
  checks.find(([field, isField]) => !isField(grant[field]))?.[0]
