/**
 * The connections, handshakes and requests of each client address, so that one address cannot take the places of all others. They are
 * counted before anything of a token is read.
 *
 * A client that connects directly is counted by its TCP connections. Those of a trusted proxy carry the requests of many
 * clients, so behind it each WebSocket and each request in progress is counted for the client that the proxy names. A request
 * for which a trusted proxy names no client is not counted.
 */
import type { IncomingMessage } from "node:http"
import type { Socket } from "node:net"
import { forwardedClient, networkOf, plainAddress, type TrustedProxies } from "./ClientAddress.ts"
import type { SocketLimits } from "./Limits.ts"
import { makePlaces, type Places, type Release } from "./Places.ts"

export interface AddressLimits {
  /**
   * Takes a place for a TCP connection, until it closes. Returns whether there was one. A second call for the connection
   * returns the same as the first.
   */
  readonly admitsConnection: (socket: Socket) => boolean
  /** Takes a place for a WebSocket or a request that came through a trusted proxy. undefined: there is none. */
  readonly takeForwarded: (request: IncomingMessage) => Release | undefined
  /** Takes a place for a handshake. undefined: there is none. */
  readonly takeHandshake: (request: IncomingMessage) => Release | undefined
  /** Takes a place for a request in progress. undefined: there is none. */
  readonly takeRequest: (request: IncomingMessage) => Release | undefined
}

/** `warn` is called when an address is refused, at most once a minute. */
export const makeAddressLimits = (
  limits: Pick<SocketLimits, "maxConnectionsPerAddress" | "maxHandshakesPerAddress" | "maxRequestsPerAddress">,
  proxies: TrustedProxies,
  warn: (message: string) => void
): AddressLimits => {
  const connections = makePlaces(limits.maxConnectionsPerAddress)
  const handshakes = makePlaces(limits.maxHandshakesPerAddress)
  const requests = makePlaces(limits.maxRequestsPerAddress)
  let warnedAt = Number.NEGATIVE_INFINITY
  const refusing = (address: string, release: Release | undefined): Release | undefined => {
    if (release !== undefined || performance.now() - warnedAt < WARNING_INTERVAL) return release
    warnedAt = performance.now()
    warn(`The address ${address} has too many connections; if it is a proxy, name it in --trusted-proxy`)
    return undefined
  }
  const take = (places: Places, address: string | undefined): Release | undefined =>
    address === undefined ? nothing : refusing(address, places.take(networkOf(address)))
  const isDirect = (socket: Socket): boolean => !proxies.trusts(peerOf(socket) ?? "")
  const forwarded = ({ headers }: IncomingMessage): string | undefined => {
    const header = headers["x-forwarded-for"]
    return forwardedClient(Array.isArray(header) ? header.join() : header, proxies)
  }
  const clientOf = (request: IncomingMessage): string | undefined =>
    isDirect(request.socket) ? peerOf(request.socket) : forwarded(request)
  const admitted = new WeakMap<Socket, boolean>()
  return {
    admitsConnection: (socket) => {
      const before = admitted.get(socket)
      if (before !== undefined) return before
      const release = isDirect(socket) ? take(connections, peerOf(socket)) : nothing
      if (release !== undefined) socket.once("close", release)
      admitted.set(socket, release !== undefined)
      return release !== undefined
    },
    takeForwarded: (request) => (isDirect(request.socket) ? nothing : take(connections, forwarded(request))),
    takeHandshake: (request) => take(handshakes, clientOf(request)),
    takeRequest: (request) => take(requests, clientOf(request))
  }
}

const WARNING_INTERVAL = 60_000

const nothing: Release = () => {}

/** undefined: the connection has closed already. */
const peerOf = ({ remoteAddress }: Socket): string | undefined => remoteAddress && plainAddress(remoteAddress)
