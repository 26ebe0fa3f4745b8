/**
 * Ends requests whose body comes too slowly, and responses whose client takes nothing. Otherwise a client could hold a
 * connection for as long as it likes.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http"
import { Duration } from "effect"
import { isVerdantPath, VERDANT_PATH } from "../../protocols/verdant/ConnectionUrl.ts"

export interface BodyTimeouts {
  /** For the upload of a file, until it is answered. */
  readonly uploadTimeout: Duration.Input
  /** For every other body, and for the rest of an upload's body after the response. */
  readonly bodyTimeout: Duration.Input
}

/**
 * Returns a listener that ends a request with 408 when its body is not complete in time. Replaces Node's `requestTimeout`,
 * which is one for all.
 */
export const endSlowBodies = (timeouts: BodyTimeouts): RequestListener => {
  const [uploadMillis, bodyMillis] = [millisOf(timeouts.uploadTimeout), millisOf(timeouts.bodyTimeout)]
  return (request, response) => {
    if (request.complete) return
    if (!isUpload(request)) return endAfter(bodyMillis, request, response)
    endAfter(uploadMillis, request, response)
    response.once("finish", () => {
      if (!request.complete) endAfter(bodyMillis, request, response)
    })
  }
}

const millisOf = (duration: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(duration))

const isUpload = ({ method, url = "" }: IncomingMessage): boolean =>
  method === "POST" && url.startsWith(`${VERDANT_PATH}/files/`)

const endAfter = (millis: number, request: IncomingMessage, response: ServerResponse): void => {
  const timer = setTimeout(() => {
    if (request.complete) return
    // As Node does it. The connection cannot be reused, because its request never ended.
    if (!response.headersSent) request.socket.write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
    request.socket.destroySoon()
  }, millis)
  // It must not keep the process of an app that has closed its server.
  timer.unref()
  request.once("close", () => clearTimeout(timer))
}

/**
 * Returns a listener that ends a response to a polling client, or a download, that makes no progress for this long. A browser
 * that only paused asks for the rest of the file.
 */
export const endStalledAnswers = (idleTimeout: Duration.Input): RequestListener => {
  const millis = millisOf(idleTimeout)
  return ({ method, url = "", socket }, response) => {
    // Uploads are left out: the file store may need long to finish one.
    const isDownload = method === "GET" && url.startsWith(`${VERDANT_PATH}/files/`)
    if (isDownload || isVerdantPath(url)) response.setTimeout(millis, () => socket.destroy())
  }
}
