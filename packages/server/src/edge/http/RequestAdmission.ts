/**
 * Admits HTTP requests: one at a time on each socket, and a number on all sockets together. Nothing that a client sends
 * before its token is checked costs more than that.
 */
import type { RequestListener, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { AddressLimits } from "../AddressLimits.ts"
import type { Origins } from "../Origins.ts"

/**
 * Returns a listener that gives requests to `handler`, if `origins` admits them. A socket that sends a request before the one before is answered is
 * destroyed: browsers, fetch and proxies never do (RFC 9112, section 9.3.2, lets a server close). Above `maxRequests` requests
 * in progress, the answer is 503, and for an address with too many it is 429. Then the connection ends.
 */
export const admitRequests = (
  {
    addresses,
    maxRequests,
    origins
  }: { readonly addresses: AddressLimits; readonly maxRequests: number; readonly origins: Origins },
  handler: RequestListener
): RequestListener => {
  const busy = new WeakSet<Socket>()
  let inProgress = 0
  return (request, response) => {
    const { socket } = request
    // One read may hold many requests: Node reports them all, also after the socket is destroyed.
    if (socket.destroyed) return
    if (busy.has(socket)) {
      ignoreRest(socket)
      return void socket.destroy()
    }
    busy.add(socket)
    response.once("close", () => busy.delete(socket))
    const refusal = origins.refusalOf(request)
    if (refusal !== undefined) return refuse(response, Number.parseInt(refusal, 10), NOT_LISTED)
    if (inProgress >= maxRequests) return refuse(response, 503)
    const release = addresses.takeForwarded(request)
    if (release === undefined) return refuse(response, 429)
    inProgress += 1
    response.once("close", () => {
      inProgress -= 1
      release()
    })
    handler(request, response)
  }
}

const NOT_LISTED = "The server's list of origins (`serve --origin`) lacks the origin of this page, or this host.\n"

const refuse = (response: ServerResponse, status: number, text = ""): void =>
  void response.writeHead(status, { connection: "close", "content-length": text.length }).end(text)

/**
 * Makes Node drop the other requests of the same read. It makes a request and a response of each, 1,600 in 64 KiB, and keeps
 * them until the socket has closed: 200 sockets with 800 each took more than 256 MiB. Node has no public way to stop its parser.
 */
const ignoreRest = (socket: Socket & { readonly parser?: { onIncoming: unknown } | null }): void => {
  if (socket.parser) socket.parser.onIncoming = () => 0
}
