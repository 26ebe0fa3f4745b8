/** Clients that attack: with any claims in a token, and with operations as fast as they can. */
import { createHmac } from "node:crypto"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Effect } from "effect"
import { connectVerdant, type RawVerdant } from "../support/clients/RawVerdant.ts"
import { TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { initialize, makeReplica, type Patch, type Replica, set } from "../support/verdant/Replica.ts"
import type { Battle } from "./UnderAttack.ts"

export interface Attacker {
  readonly connection: RawVerdant
  readonly replica: Replica
}

/** Connects to the attacked library as a new replica, and confirms what it was sent. */
export const attackerOf = Effect.fnUntraced(function* ({ library }: Battle, type?: "read-only") {
  const token = yield* library.token({ userId: "mallory", ...(type && { type }) })
  const connection = yield* connectVerdant(library, token)
  const replica = makeReplica()
  connection.send(replica.sync({ resyncAll: true }))
  const { ackThisNonce } = yield* connection.next("sync-resp")
  connection.send(replica.ack({ nonce: ackThisNonce }))
  return { connection, replica } satisfies Attacker
})

/** Waits until the server has handled everything that was sent, or has closed the connection. */
export const handled = ({ connection }: Attacker) =>
  connection.isOpen() ? Effect.raceFirst(connection.settled, Effect.asVoid(connection.closed)) : Effect.void

/** Sends operations on one object, so many in a message. */
export const sendOperations = Effect.fnUntraced(function* (
  attacker: Attacker,
  oid: string,
  patches: ReadonlyArray<Patch>,
  perMessage = 1000
) {
  const { connection, replica } = attacker
  for (let at = 0; at < patches.length && connection.isOpen(); at += perMessage) {
    const batch = patches.slice(at, at + perMessage).map((patch) => replica.operation(oid, patch))
    connection.send(replica.op(...batch))
    yield* handled(attacker)
  }
})

/** Operations that make a library worth a compaction, and acknowledgements until it begins, or the connection is closed. */
export const untilCompacted = Effect.fnUntraced(function* ({ library, database }: Battle, attacker: Attacker) {
  const { connection, replica } = attacker
  const small = Array.from({ length: 1100 }, (_, i) => set("n", i))
  yield* sendOperations(attacker, "item/small", [initialize({}), ...small])
  const checkpoint = Effect.gen(function* () {
    const streams = yield* (yield* EventLog).streams({ libraryId: library.id, limit: 10 })
    return streams.find(({ key }) => key.streamId === VERDANT)?.checkpoint ?? 0
  })
  yield* until(
    "the library is compacted",
    Effect.gen(function* () {
      if (!connection.isOpen()) return true
      connection.send(replica.ack({}))
      yield* handled(attacker)
      return (yield* checkpoint) > 0
    })
  ).pipe(Effect.provide(layerOf(database)), Effect.orDie)
})

/** Signs a token with exactly these claims. */
export const signed = (claims: object): string => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`
  return `${text}.${createHmac("sha256", TOKEN_SECRET).update(text).digest("base64url")}`
}
