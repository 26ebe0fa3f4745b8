/** Answers and counts requests that Node's parser refuses: a head that is too large or too slow, or what is not HTTP. */
import type { Server, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import * as Metrics from "../../metrics/Metrics.ts"

const STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  HPE_CHUNK_EXTENSIONS_OVERFLOW: "413 Payload Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout"
}

/** As Node asks it itself. */
const isResponding = (socket: Duplex): boolean =>
  (socket as Duplex & { readonly _httpMessage?: ServerResponse | null })._httpMessage?.headersSent === true

/** Does what Node does without a listener. */
export const answerBrokenRequests = (server: Server): void =>
  void server.on("clientError", (error: Error & { readonly code?: string }, socket) => {
    const { code = "" } = error
    // The client went away, or a response is on its way, into which no other one may be written.
    if (code === "ECONNRESET" || !socket.writable || isResponding(socket)) return void socket.destroy()
    const status = STATUS[code] ?? "400 Bad Request"
    const reason = code === "ERR_HTTP_REQUEST_TIMEOUT" ? "slow" : "malformed"
    Metrics.requestsRefused.at({ route: "connection", status: status.slice(0, 3), reason }).add()
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy())
  })
