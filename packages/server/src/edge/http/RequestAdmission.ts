/**
 * Admits HTTP requests: one at a time on each socket, and a number on all sockets together. Nothing that a client sends
 * before its token is checked costs more than that.
 */
import type { RequestListener, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as Metrics from "../../metrics/Metrics.ts"
import type { AddressLimits } from "../AddressLimits.ts"
import type { ConnectionLog } from "../ConnectionLog.ts"
import type { Origins } from "../Origins.ts"
import { requestIdOf } from "./RequestId.ts"
import { routeOf } from "./Route.ts"

export interface RequestAdmission {
  readonly request: RequestListener
  /** The number of requests in progress. */
  readonly inProgress: () => number
}

/**
 * Makes a listener that gives requests to `handler`, if `origins` admits them. A socket that sends a request before the one before is answered is
 * destroyed: browsers, fetch and proxies never do (RFC 9112, section 9.3.2, lets a server close). Above `maxRequests` requests
 * in progress, the answer is 503, and for an address with too many it is 429. Then the connection ends.
 */
export const admitRequests = (
  {
    addresses,
    log,
    maxRequests,
    origins
  }: {
    readonly addresses: AddressLimits
    readonly log: ConnectionLog
    readonly maxRequests: number
    readonly origins: Origins
  },
  handler: RequestListener
): RequestAdmission => {
  const busy = new WeakSet<Socket>()
  let inProgress = 0
  const request: RequestListener = (request, response) => {
    const { socket } = request
    // One read may hold many requests: Node reports them all, also after the socket is destroyed.
    if (socket.destroyed) return
    const route = routeOf(request.url)
    const countRefused = (status: number, reason: Metrics.RefusalReason): void => {
      Metrics.requestsRefused.at({ route, status: String(status), reason }).add()
      if (log.isOn) log.line("request refused", { request: requestIdOf(request), route, status, reason })
    }
    const refuseFor = (status: number, reason: Metrics.RefusalReason, text?: string): void => {
      Metrics.requests.at({ route }).add()
      countRefused(status, reason)
      refuse(response, status, text)
    }
    if (busy.has(socket)) {
      Metrics.requestsRefused.at({ route, status: "none", reason: "pipelined" }).add()
      ignoreRest(socket)
      return void socket.destroy()
    }
    busy.add(socket)
    response.once("close", () => busy.delete(socket))
    const refusal = origins.refusalOf(request)
    if (refusal !== undefined) return refuseFor(Number.parseInt(refusal, 10), "origin", NOT_LISTED)
    if (inProgress >= maxRequests) return refuseFor(503, "requests")
    const release = addresses.takeForwarded(request)
    if (release === undefined) return refuseFor(429, "address_connections")
    const settle = addresses.takeRequest(request)
    if (settle === undefined) {
      release()
      return refuseFor(429, "address_requests")
    }
    inProgress += 1
    response.once("close", () => {
      inProgress -= 1
      release()
      settle()
      Metrics.requests.at({ route }).add()
      const { statusCode } = response
      if (statusCode >= 400) countRefused(statusCode, "route")
    })
    handler(request, response)
  }
  return { request, inProgress: () => inProgress }
}

const NOT_LISTED = "The server's list of origins (`serve --origin`) lacks the origin of this page, or this host.\n"

/** Never with JSON: at a status below 500, a Verdant client that polls goes on only if it cannot read the answer. */
const refuse = (response: ServerResponse, status: number, text = ""): void =>
  void response.writeHead(status, { connection: "close", "content-length": text.length }).end(text)

/**
 * Makes Node drop the other requests of the same read. It makes a request and a response of each, 1,600 in 64 KiB, and keeps
 * them until the socket has closed: 200 sockets with 800 each took more than 256 MiB. Node has no public way to stop its parser.
 */
const ignoreRest = (socket: Socket & { readonly parser?: { onIncoming: unknown } | null }): void => {
  if (socket.parser) socket.parser.onIncoming = () => 0
}
