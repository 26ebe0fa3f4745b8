/**
 * The route of `serve --dev`: `GET /auth/LIBRARY?user=USER&type=TYPE` returns a token without authentication, as Verdant's
 * own development server does.
 */

import { VERDANT_PATH, verdantResponse } from "@sealog/server"
import { Access, Grant, LibraryId, ReplicaType, type ReplicaTypeName } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const decodeLibrary = Schema.decodeUnknownOption(LibraryId)
const decodeUser = Schema.decodeUnknownOption(Grant.fields.userId)

const auth = Effect.gen(function* () {
  const { headers, url } = yield* HttpServerRequest.HttpServerRequest
  const { library } = yield* HttpRouter.params
  const query = new URL(url, "http://localhost").searchParams
  const libraryId = decodeLibrary(library)
  // `cliSync` of Verdant's store sends `userId`.
  const userId = decodeUser(query.get("user") ?? query.get("userId"))
  const type = typeOf(query.get("type") ?? "0")
  const host = headers["host"] ?? ""
  if (Option.isNone(libraryId)) return refused("This is not a valid name of a library.")
  if (Option.isNone(userId)) return refused("?user= is missing or not a valid name of a user.")
  if (type === undefined) return refused("?type= must be Verdant's number of a replica type, 0 to 5.")
  if (!/^[\w.:[\]-]+$/.test(host)) return refused("The request has no valid Host header.")
  const accessToken = yield* (yield* Access).mint({
    libraryId: libraryId.value,
    userId: userId.value,
    type,
    // The address must work for the client, so it uses the host name that the client used.
    endpoint: `http://${host}${VERDANT_PATH}`
  })
  return HttpServerResponse.jsonUnsafe({ accessToken })
})

const typeOf = (number: string): ReplicaTypeName | undefined =>
  (Object.keys(ReplicaType) as ReadonlyArray<ReplicaTypeName>).find((name) => String(ReplicaType[name]) === number)

const refused = (error: string) => HttpServerResponse.jsonUnsafe({ error }, { status: 400 })

export const DevAuthRoute = HttpRouter.add("GET", "/auth/:library", verdantResponse({ allowsOrigin: () => true })(auth))
