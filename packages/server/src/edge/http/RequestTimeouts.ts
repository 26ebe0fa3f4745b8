/** A request's body has a time to come in: whoever sends it by drops would hold a connection for as long as he likes. */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { Duration } from "effect"
import { isVerdantPath, VERDANT_PATH } from "../../protocols/verdant/ConnectionUrl.ts"

export interface BodyTimeouts {
  /** Of an upload of a file, until it is answered. */
  readonly uploadTimeout: Duration.Input
  /** Of everything else, and of what still comes when it was answered, because it was refused or nobody wants it. */
  readonly bodyTimeout: Duration.Input
}

/** In place of Node's `requestTimeout`, which is the same for all requests. */
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
    // As Node does it; there is no way back to a connection whose request never ended.
    if (!response.headersSent) request.socket.write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
    request.socket.destroySoon()
  }, millis)
  request.once("close", () => clearTimeout(timer))
}

/** Ends what makes no progress for so long; a browser that was only paused asks for the rest of a file. */
export const endStalledAnswers = (server: Server, idleTimeout: Duration.Input): void => {
  const millis = millisOf(idleTimeout)
  server.on("request", ({ method, url = "", socket }, response) => {
    // Not an upload: the store of files may take its time with the end of one.
    const isDownload = method === "GET" && url.startsWith(`${VERDANT_PATH}/files/`)
    if (isDownload || isVerdantPath(url)) response.setTimeout(millis, () => socket.destroy())
  })
}
