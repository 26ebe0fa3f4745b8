/** Both ends of one real WebSocket connection, for tests of the code below a session. */
import { once } from "node:events"
import type { AddressInfo, Socket } from "node:net"
import { Effect, type Scope } from "effect"
import { WebSocket, WebSocketServer } from "ws"

export interface SocketPair {
  readonly client: WebSocket
  readonly serving: WebSocket
  /** The TCP socket below `serving`. */
  readonly socket: Socket
}

export const socketPair: Effect.Effect<SocketPair, never, Scope.Scope> = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocketServer({ port: 0, host: "127.0.0.1" })),
    (server) => Effect.sync(() => server.close())
  )
  yield* Effect.promise(() => once(server, "listening"))
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)),
    (client) => Effect.sync(() => client.terminate())
  )
  const [[serving, { socket }]] = yield* Effect.promise(() =>
    Promise.all([once(server, "connection"), once(client, "open")])
  )
  return { client, serving, socket }
})
