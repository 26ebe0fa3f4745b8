/** A library on a server, and the tokens that its app issues. */

import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Access, type TokenRequest } from "@sealog/server/ports/Access"
import { Effect, Redacted } from "effect"
import { randomName, TOKEN_SECRET } from "../servers/TestServer.ts"

export interface Library {
  readonly id: LibraryId
  /** The endpoint of its clients: http://HOST:PORT/verdant */
  readonly endpoint: string
  readonly token: (request: Omit<TokenRequest, "libraryId" | "endpoint">) => Effect.Effect<string>
}

/** A library on the server at ws://HOST:PORT. On servers of one database, the same id is the same library. */
export const libraryOn = ({ url }: { readonly url: string }, id: string = randomName()): Library => {
  const libraryId = LibraryId.make(id)
  const endpoint = `${url.replace(/^ws/, "http")}/verdant`
  return {
    id: libraryId,
    endpoint,
    token: (request) =>
      Effect.flatMap(Access, (access) => access.mint({ ...request, libraryId, endpoint })).pipe(
        Effect.provide(JwtAccess.layerTokens([Redacted.make(TOKEN_SECRET)])),
        Effect.orDie
      )
  }
}
