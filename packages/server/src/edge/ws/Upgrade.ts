/** Node's `upgrade` event, and the answer to an upgrade that is refused. */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import * as Metrics from "../../metrics/Metrics.ts"

export interface Upgrade {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** The first bytes after the request's head. */
  readonly head: Buffer
  /** Ends the handshake: the client was admitted or refused. */
  readonly settle: () => void
}

/** Destroys the socket on its errors. Without a listener, an error would end the process. */
export const destroyOnError = (socket: Duplex): void => void socket.on("error", destroy)

/**
 * Answers an upgrade with an HTTP status and ends the connection for both sides. The socket is destroyed after the answer:
 * nothing reads it any more, so the server would not notice whether the client closes its side.
 */
export const refuseUpgrade = (
  socket: Duplex,
  status: string,
  reason: Metrics.RefusalReason,
  route: Metrics.Route = "upgrade"
): void => {
  Metrics.requestsRefused.at({ route, status: status.slice(0, 3), reason }).add()
  destroyOnError(socket)
  socket.once("finish", destroy)
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

function destroy(this: Duplex): void {
  this.destroy()
}
