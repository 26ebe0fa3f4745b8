/**
 * Ends requests whose body comes too slowly, and responses whose client takes nothing. Otherwise a client could hold a
 * connection for as long as it likes.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { Duration } from "effect"
import * as Metrics from "../../metrics/Metrics.ts"
import { isVerdantPath, VERDANT_PATH } from "../../protocols/verdant/ConnectionUrl.ts"
import { routeOf } from "./Route.ts"

export interface BodyTimeouts {
  /** For the upload of a file, until it is answered. */
  readonly uploadTimeout: Duration.Input
  /** For every other body, and for the rest of an upload's body after the response. */
  readonly bodyTimeout: Duration.Input
}

/** Ends a request with 408 when its body is not complete in time. Replaces Node's `requestTimeout`, which is one for all. */
export const endSlowBodies = (server: Server, timeouts: BodyTimeouts): void => {
  const [uploadMillis, bodyMillis] = [millisOf(timeouts.uploadTimeout), millisOf(timeouts.bodyTimeout)]
  server.on("request", (request, response) => {
    if (request.complete) return
    if (!isUpload(request)) return endAfter(bodyMillis, request, response)
    endAfter(uploadMillis, request, response)
    response.once("finish", () => endAfter(bodyMillis, request, response))
  })
}

const millisOf = (duration: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(duration))

const isUpload = ({ method, url = "" }: IncomingMessage): boolean =>
  method === "POST" && url.startsWith(`${VERDANT_PATH}/files/`)

const endAfter = (millis: number, request: IncomingMessage, response: ServerResponse): void => {
  const timer = setTimeout(() => {
    if (request.complete) return
    Metrics.requestsRefused.at({ route: routeOf(request.url), status: "408", reason: "slow" }).add()
    // As Node does it. The connection cannot be reused, because its request never ended.
    if (!response.headersSent) request.socket.write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
    request.socket.destroySoon()
  }, millis)
  request.once("close", () => clearTimeout(timer))
}

/**
 * Ends a response to a polling client, or a download, that makes no progress for this long. A browser that only paused asks
 * for the rest of the file.
 */
export const endStalledAnswers = (server: Server, idleTimeout: Duration.Input): void => {
  const millis = millisOf(idleTimeout)
  server.on("request", ({ method, url = "", socket }, response) => {
    // Uploads are left out: the file store may need long to finish one.
    const isDownload = method === "GET" && url.startsWith(`${VERDANT_PATH}/files/`)
    if (isDownload || isVerdantPath(url)) {
      response.setTimeout(millis, () => {
        Metrics.responsesCut.at({ cause: "stalled" }).add()
        socket.destroy()
      })
    }
  })
}
