/**
 * `GET /metrics`: every metric in Prometheus' text format. It is served on a port of its own, or on the server's port to a
 * scraper that sends the token; otherwise it is answered with 404.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer, Redacted, Schema, Scope } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { errorText } from "../../domain/errorText.ts"
import { CurrentWorkers } from "../../ports/Workers.ts"
import { bearerOf } from "./BearerToken.ts"
import { METRICS_PATH } from "./Route.ts"

export interface MetricsOptions {
  /**
   * A port that serves `/metrics` and nothing else, on the interfaces of the server. 0: a free one. Default: none. Without a
   * `token` everybody who reaches the port may read it: keep it inside your network.
   */
  readonly port?: number
  /**
   * The text that a scraper sends as `Authorization: Bearer …`; other requests are answered with 401. Without a `port` of their
   * own, the metrics are then on the server's port. Default: none.
   */
  readonly token?: Redacted.Redacted
}

/** The port of the metrics cannot be listened on. */
export class MetricsListenError extends Schema.TaggedError<MetricsListenError>()("MetricsListenError", {
  port: Schema.Finite,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const reason = errorText(this.cause)
    return `Cannot listen on port ${this.port} for metrics: ${reason}`
  }
}

const respond = Effect.gen(function* () {
  const workers = yield* CurrentWorkers
  const text = yield* workers?.metrics ?? PrometheusMetrics.format()
  return HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
})

const unauthorized = HttpServerResponse.empty({ status: 401, headers: { "www-authenticate": "Bearer" } })

const answer = (token: Redacted.Redacted | undefined) => {
  if (token === undefined) return respond
  const expected = digest(Redacted.value(token))
  return Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => {
    const given = bearerOf(headers["authorization"], undefined) ?? ""
    // Digests have one length, and their comparison takes the same time wherever they differ.
    const isGiven = given !== "" && timingSafeEqual(digest(given), expected)
    return isGiven ? respond : Effect.succeed(unauthorized)
  })
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

const route = (token: Redacted.Redacted | undefined) => HttpRouter.add("GET", METRICS_PATH, answer(token))

/** The route on the server's own port. */
export const MetricsRoute = ({ port, token }: MetricsOptions) =>
  port === undefined && token !== undefined ? route(token) : Layer.empty

/** Serves the metrics on their own port until the scope closes. Returns the port; undefined if they have none. */
export const serveMetrics = Effect.fnUntraced(function* ({ port, token }: MetricsOptions, host: string | undefined) {
  if (port === undefined) return undefined
  const app = yield* HttpRouter.toHttpEffect(route(token))
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  const handler = yield* NodeHttpServer.makeHandler(app, { scope })
  const server = createServer({ keepAliveTimeout: 5_000 }, handler)
  yield* Effect.acquireRelease(
    Effect.callback<void, MetricsListenError>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(new MetricsListenError({ port, cause }))))
      server.listen(port, host, () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  return (server.address() as AddressInfo).port
})
