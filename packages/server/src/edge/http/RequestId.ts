/** The id of an HTTP request, which all log lines about the request carry. */
import { randomBytes } from "node:crypto"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import { HttpServerRequest } from "effect/http"

const ids = new WeakMap<object, string>()
const process = randomBytes(6).toString("base64url")
let requests = 0

/** Unique among all processes. */
export const requestIdOf = (request: object): string => {
  let id = ids.get(request)
  if (id === undefined) {
    requests += 1
    id = `${process}-${requests}`
    ids.set(request, id)
  }
  return id
}

/** Runs the handler of a request with the request's id on its log lines. */
export const withRequestId = <A, E, R>(handler: Effect.Effect<A, E, R>) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Effect.annotateLogs(handler, "request", requestIdOf(NodeHttpServerRequest.toIncomingMessage(request)))
  )
