/** How HTTP requests of Verdant's clients are answered, whatever comes of them. */
import { Effect } from "effect"
import { HttpMiddleware, type HttpServerResponse } from "effect/http"
import { Code, HttpRefusal, refusal } from "./HttpRefusal.ts"

/** Refusals in the protocol's words, and what a browser needs to be let at them. */
export const answering =
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
        Effect.as(Effect.logError("A request failed", defect), refusal(new HttpRefusal({ code: Code.unexpected })))
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
