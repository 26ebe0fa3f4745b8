/** Verdant clients of a server whose clock leaps, and a client whose clock is ahead of the server's. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { shiftedClock } from "#test-support/shiftedClock"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { LibraryId } from "../../../src/domain/Ids.ts"
import { libraryKey } from "../../../src/protocols/verdant/Rooms.ts"

const DAYS = 3 * 86_400_000

/** A server on a machine whose clock the test sets, and two connected replicas. */
const start = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const machine = { ahead: 0 }
  const leaping = shiftedClock(clock, () => machine.ahead)
  const server = yield* Effect.provideService(startMemoryServer(), Clock.Clock, leaping)
  const library = libraryOn(server)
  const join = Effect.gen(function* () {
    const connection = yield* connectVerdant(library, yield* library.token({ userId: "a" }))
    const replica = makeReplica()
    yield* registerReplica(connection, replica)
    return { connection, replica }
  })
  const events = Effect.map(server.log.read(libraryKey(LibraryId.make(library.id)), { after: 0 }), (placed) =>
    placed.map(({ event }) => event)
  )
  return { machine, author: yield* join, peer: yield* join, events }
})

describe("a clock that leaps", () => {
  it.live("an operation of a clock that is ahead reaches the others as soon as its time has come", () =>
    Effect.gen(function* () {
      const { author, peer } = yield* start
      const { connection, replica } = author
      const timestamp = replica.now(61_000)
      const early = { oid: "item/x", timestamp, data: initialize({ id: "x" }) }
      connection.send({ ...replica.op(early), timestamp })
      yield* connection.next("forbidden")
      const asked = yield* connection.next("need-since")
      assert.strictEqual(asked["since"], timestamp)
      connection.send({
        ...replica.sync({ since: replica.now(), operations: [early] }),
        timestamp: replica.now(62_000)
      })
      const answer = yield* connection.next("sync-resp")
      assert.isTrue(String(answer["ackedTimestamp"]) >= timestamp)
      const received = yield* peer.connection.next("op-re")
      assert.include(JSON.stringify(received["operations"]), timestamp)
    })
  )

  it.live("an operation after the server's clock has leapt back by days is acknowledged, passed on and promised", () =>
    Effect.gen(function* () {
      const { author, events, machine, peer } = yield* start
      machine.ahead = -DAYS
      const { connection, replica } = author
      const operation = replica.operation("item/x", initialize({ id: "x" }))
      connection.send(replica.op(operation))
      yield* connection.next("server-ack")
      yield* peer.connection.next("op-re")
      peer.connection.send(peer.replica.ack({ timestamp: operation.timestamp }))
      yield* connection.next("global-ack")
      const times = (yield* events).map(({ recordedAt }) => recordedAt)
      assert.deepStrictEqual(
        times,
        times.toSorted((a, b) => a - b)
      )
      assert.notInclude(
        connection.messages.map(({ type }) => type),
        "forbidden"
      )
    })
  )
})
