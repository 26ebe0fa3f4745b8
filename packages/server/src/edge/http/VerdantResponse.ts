/**
 * Makes an HTTP handler answer as Verdant's clients expect: with CORS headers, and with `{"code":…}` for every error. A
 * refusal keeps its code, a failure becomes 5030, a defect 5000.
 */
import { Effect } from "effect"
import { HttpMiddleware, type HttpServerResponse } from "effect/http"
import { Code, HttpRefusal, refusal } from "./HttpRefusal.ts"

/** For routes of the server: requests of other origins than the server's list do not reach them. */
export const everyOrigin = { allowsOrigin: () => true }

/**
 * Wraps a handler. Its refusals, failures and defects become responses, the latter two with a line in the log. Answers every
 * OPTIONS request as a preflight, without calling the handler. `allowsOrigin`: the web apps that may read the responses, by
 * their origins.
 */
export const verdantResponse =
  ({ allowsOrigin }: { readonly allowsOrigin: (origin: string) => boolean }) =>
  <E extends { readonly _tag: string; readonly message: string }, R>(
    handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) =>
    handler.pipe(
      Effect.catch((error) => {
        if (error instanceof HttpRefusal) return Effect.succeed(refusal(error))
        const unavailable = refusal(new HttpRefusal({ code: Code.unavailable }))
        return Effect.as(Effect.logWarning(error.message), unavailable)
      }),
      Effect.catchDefect((defect) =>
        Effect.as(
          Effect.logError("An HTTP request failed unexpectedly", defect),
          refusal(new HttpRefusal({ code: Code.unexpected }))
        )
      ),
      HttpMiddleware.cors({
        allowedOrigins: (origin: string | undefined) => origin !== undefined && allowsOrigin(origin),
        allowedMethods: ["GET", "HEAD", "POST"],
        allowedHeaders: ["Authorization", "Content-Type", "Range", "If-Range", "If-None-Match"],
        exposedHeaders: ["Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Range", "ETag"],
        credentials: true,
        maxAge: 600
      })
    )
