/** The HTTP API of a running server, for commands. */
import { AdminApi, Authorization } from "@sealog/server/admin/api"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import type { ServerAddress } from "../input/server.ts"
import { CliFailure, TOO_MANY_WEBHOOKS } from "../output/CliFailure.ts"

export type AdminClient = HttpApiClient.ForApi<typeof AdminApi>

/** A typed client of the API. A failure of a call becomes a `CliFailure` by `explained`. */
export const adminClient = ({ token, url }: ServerAddress): Effect.Effect<AdminClient> =>
  HttpApiClient.make(AdminApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.prependUrl(url))
  }).pipe(
    Effect.provide(
      HttpApiMiddleware.layerClient(Authorization, ({ next, request }) =>
        next(HttpClientRequest.bearerToken(request, token))
      ).pipe(Layer.provideMerge(FetchHttpClient.layer))
    )
  )

/** An error of the API, or of the way to it. */
export interface ApiError {
  readonly _tag: string
  readonly message: string
}

/** Turns an error of a call into one that says what to try. A `CliFailure` stays as it is. */
export const explained = <A, E extends ApiError | CliFailure>(
  call: Effect.Effect<A, E>,
  address: ServerAddress
): Effect.Effect<A, CliFailure> =>
  Effect.mapError(call, (error) => (error instanceof CliFailure ? error : explanationOf(error, address)))

export const explanationOf = ({ _tag, message }: ApiError, { url }: ServerAddress): CliFailure => {
  switch (_tag) {
    case "NotAdministrator":
      return new CliFailure({
        code: "NOT_ADMINISTRATOR",
        message: `${url} refused the token: ${message}`,
        exitCode: 1,
        tryThis: "sync-admin token mint --admin --user YOUR_NAME, with the secret of the server"
      })
    case "Unavailable":
      return new CliFailure({
        code: "STORAGE_UNAVAILABLE",
        message: `The storage of ${url} did not answer: ${message}`,
        exitCode: 3,
        tryThis: "run the same command again once the database can be reached"
      })
    case "WebhooksFull":
      return new CliFailure({ ...TOO_MANY_WEBHOOKS, message, exitCode: 1 })
    default:
      return new CliFailure({
        code: "SERVER_UNREACHABLE",
        message: `${url} did not answer as a server with --admin does: ${message.split("\n")[0]}`,
        exitCode: 3,
        tryThis:
          "compare --server with the server's address and the hosts in its --origin, and start it with --admin; a server of an older version lacks some commands"
      })
  }
}
