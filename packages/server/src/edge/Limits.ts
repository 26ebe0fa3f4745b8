/** The limits of connections and requests, with their defaults. */
import { getHeapStatistics } from "node:v8"
import type { Duration } from "effect"

export interface SocketLimits {
  /**
   * Largest frame of a client and largest body of a Verdant request, in bytes. Default: 32 MiB, because a Secsync snapshot
   * is one frame. A larger frame closes the connection with 1009; a larger request is answered with 400.
   */
  readonly maxFrameBytes: number
  /**
   * Number of sockets whose clients were admitted. Default: 10,000. A further upgrade is answered with
   * 503 Service Unavailable; a client that is admitted above the limit is closed with 1013.
   */
  readonly maxConnections: number
  /**
   * Number of sockets whose tokens are being checked. Default: 1,000. A further upgrade is answered with
   * 503 Service Unavailable. A refused client that does not answer the closing handshake counts for neither limit.
   */
  readonly maxHandshakes: number
  /**
   * Number of connections of one client address, of admitted clients or not: TCP connections, or behind a trusted proxy its
   * WebSockets and requests in progress. Default: 1,000, because many people may share an address. IPv6 addresses count by
   * their /64. A further connection is answered with 429 Too Many Requests.
   */
  readonly maxConnectionsPerAddress: number
  /**
   * Number of sockets of one client address whose tokens are being checked. Default: 100. A further upgrade is answered with
   * 429 Too Many Requests.
   */
  readonly maxHandshakesPerAddress: number
  /**
   * Number of HTTP requests in progress on all connections together. Default: 1,000. A further request is answered with
   * 503 Service Unavailable.
   */
  readonly maxRequests: number
  /**
   * Number of HTTP requests in progress of one client address, before and after their tokens are read. Default: 250, so that
   * one address cannot take the places of all. A further request is answered with 429 Too Many Requests.
   */
  readonly maxRequestsPerAddress: number
  /**
   * Number of backends that receive changes as server-sent events (`GET /changes`) at a time. Default: 100. Each also counts for
   * `maxRequests` and `maxRequestsPerAddress`. A further one is answered with 503 and `{"code":5030}`, and can try again.
   */
  readonly maxChangeStreams: number
  /**
   * Number of those for one library. Default: 20, so that one library's backends cannot take the places of all. A further one is
   * answered with 503 and `{"code":5030}`, and can try again.
   */
  readonly maxChangeStreamsPerLibrary: number
  /**
   * Bytes sent that a client has not taken yet, besides one larger frame. Default: 16 MiB. A client that is further behind
   * is closed with 1013 and can connect again.
   */
  readonly maxBufferedBytes: number
  /**
   * Bytes of large messages of all clients together that arrive, or that wait for their answers; and as many bytes again of
   * frames that clients have not taken. Default: a quarter of the heap's limit (Node's `--max-old-space-size`), at least 64
   * MiB and at most 256 MiB. Above it, a client with a large message waits, and a poll with one is answered with 503. The
   * client for which most bytes wait loses its connection: it sees 1006 and can connect again.
   */
  readonly messageMemory: number
  /**
   * Time from a WebSocket's upgrade until its session is open; for Secsync the document is sent by then. Default:
   * 10 seconds. After it the socket is closed with 1013. The token of a Verdant upgrade is checked before that, in the same
   * time; after it the upgrade is answered with 503.
   */
  readonly handshakeTimeout: Duration.Input
  /**
   * Reads by which documents and libraries are opened, of all clients together. Default: 8, which leaves two of Postgres' ten
   * connections to commits; four fifths of `--database-connections`. The documents of further clients wait, the oldest first.
   */
  readonly maxOpenings: number
  /**
   * Documents and libraries that wait for such a read. Default: 1,000. A further one is not opened: its client is closed with
   * 1013 and can connect again, and a poll is answered with 503. A document stays in the line for some seconds after its client
   * has gone, so that the client finds it opened when it comes back.
   */
  readonly maxWaitingOpenings: number
  /**
   * Time from a request's head to the end of its body, except for file uploads. Default: 30 seconds. After it the request
   * is answered with 408 Request Timeout, if it has no answer yet, and its connection ends.
   */
  readonly bodyTimeout: Duration.Input
  /**
   * Time between two pings of a socket. Default: 30 seconds. If no byte moves in that time, in either direction, the
   * connection is dropped without a closing frame: the client sees 1006.
   */
  readonly heartbeat: Duration.Input
}

const MIB = 1024 * 1024

export const defaultLimits: SocketLimits = {
  maxFrameBytes: 32 * 1024 * 1024,
  maxConnections: 10_000,
  maxHandshakes: 1000,
  maxConnectionsPerAddress: 1000,
  maxHandshakesPerAddress: 100,
  maxRequests: 1000,
  maxRequestsPerAddress: 250,
  maxChangeStreams: 100,
  maxChangeStreamsPerLibrary: 20,
  maxBufferedBytes: 16 * 1024 * 1024,
  messageMemory: Math.min(256 * MIB, Math.max(64 * MIB, getHeapStatistics().heap_size_limit / 4)),
  maxOpenings: 8,
  maxWaitingOpenings: 1000,
  handshakeTimeout: "10 seconds",
  bodyTimeout: "30 seconds",
  heartbeat: "30 seconds"
}
