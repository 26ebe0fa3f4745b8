/** A Verdant client on a WebSocket: its text frames in, and messages as frames out. */
import { Effect, type Scope } from "effect"
import type { Grant } from "../../ports/Access.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import type { Connection } from "../Connection.ts"
import type { ProtocolSession } from "../ProtocolSession.ts"
import type { Client } from "./Client.ts"
import type { Session } from "./Session.ts"
import { decodeText } from "./Wire.ts"

/** Opens a client's session until the scope closes. */
type Open = (client: Client, grant: Grant) => Effect.Effect<Session, StorageUnavailable, Scope.Scope>

/** Opens the session of a connection that stays: the client is sent what happens in its library. */
export const openSocketSession = (
  open: Open,
  connection: Connection,
  grant: Grant
): Effect.Effect<ProtocolSession, StorageUnavailable, Scope.Scope> =>
  Effect.map(open(clientOf(connection), grant), (session) => ({
    receive: (texts, done) => done(session.receive(texts.map((text) => decodeText(text.toString(), grant)))),
    answered: session.answered,
    brought: Effect.succeed(false)
  }))

export const clientOf = (connection: Connection): Client => ({
  id: connection.id,
  isRealtime: true,
  send: (message) => connection.send(...message.pieces),
  sendVolatile: (message) => connection.sendVolatile(message.frame),
  hold: (piece) => connection.hold(piece),
  close: (code, reason) => connection.close(code, reason),
  isSentAway: () => connection.isSentAway()
})
