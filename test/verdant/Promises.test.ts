/** A replica's acknowledgement promises that it sends nothing older. Operations that it sent before are stored all the same. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch } from "effect"
import { connectVerdant, post, type RawVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, type Operation, type Replica, set } from "../support/verdant/Replica.ts"

/** A user who polls counts as gone at the next maintenance of the library. */
const verdant = { cursorInterval: "50 millis", presenceTtl: "1 millis" } as const

/** A server whose commits wait while a latch is closed. */
const startSlowly = Effect.fnUntraced(function* (database?: string) {
  const committing = yield* Latch.make(true)
  const server = yield* startServer({
    ...(database !== undefined && { database }),
    verdant,
    logAs: (log) => ({ ...log, append: (batch, options) => committing.whenOpen(log.append(batch, options)) })
  })
  return { committing, library: libraryOn(server) }
})

/** Connects a replica. By default the watermark does not wait for it. */
const join = Effect.fnUntraced(function* (
  library: Library,
  userId: string,
  type: "realtime" | "passive-realtime" = "passive-realtime"
) {
  const connection = yield* connectVerdant(library, yield* library.token({ userId, type }))
  const replica = makeReplica()
  const { ackThisNonce: nonce } = yield* registerReplica(connection, replica)
  if (nonce !== undefined) connection.send(replica.ack({ nonce }))
  return { connection, replica }
})

const write = (connection: RawVerdant, replica: Replica, operation: Operation) =>
  Effect.suspend(() => {
    connection.send(replica.op(operation))
    return connection.next("server-ack", ({ timestamp }) => timestamp === operation.timestamp)
  })

const isAcknowledged = ({ messages }: RawVerdant, operation: Operation): boolean =>
  messages.some(({ timestamp, type }) => type === "server-ack" && String(timestamp) >= operation.timestamp)

/** Everything in the library, as a newcomer receives it. */
const content = (library: Library) =>
  Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "newcomer" }))
      const { baselines, operations } = yield* registerReplica(connection, makeReplica())
      return JSON.stringify({ baselines, operations })
    })
  )

interface Member {
  readonly connection: RawVerdant
  readonly replica: Replica
}

/** Waits until the server has taken what a replica sent: others hear of a presence once it took the messages before it. */
const taken = Effect.fnUntraced(function* ({ connection, replica }: Member, listener: RawVerdant) {
  const at = replica.now()
  connection.send(replica.presence({ at }))
  yield* listener.next("presence-changed", (message) => JSON.stringify(message).includes(at))
})

/** Waits until the library on this server was maintained once more: the presence of a user who polled ends by that. */
const maintained = Effect.fnUntraced(function* (library: Library, listener: RawVerdant, userId: string) {
  const visitor = makeReplica()
  yield* post(library, yield* library.token({ userId }), [visitor.presence({})])
  yield* listener.next("presence-offline", (message) => message["userId"] === userId)
})

describe("a replica that acknowledges a newer operation of another one", () => {
  it.live("has its own operations stored that wait for a slow commit, although another process writes first", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const { committing, library } = yield* startSlowly(database)
      const sameLibrary = libraryOn(yield* startServer({ database, verdant }), library.id)
      const own = yield* join(library, "own", "realtime")
      const listener = yield* join(library, "listener")
      yield* write(own.connection, own.replica, own.replica.operation("item/x", initialize({ id: "x" })))
      const peer = yield* join(sameLibrary, "peer")

      yield* committing.close
      const waiting = [1, 2].map((n) => own.replica.operation("item/x", set("n", n)))
      for (const operation of waiting) own.connection.send(own.replica.op(operation))
      own.connection.send(own.replica.ack({ timestamp: own.replica.now() }))
      yield* taken(own, listener.connection)
      // A promise counts after the second maintenance.
      for (const user of ["first", "second", "third"]) yield* maintained(library, listener.connection, user)
      yield* write(peer.connection, peer.replica, peer.replica.operation("item/y", initialize({ id: "y" })))
      yield* committing.open

      const next = own.replica.operation("item/x", set("n", 3))
      yield* write(own.connection, own.replica, next)
      const stored = yield* content(sameLibrary)
      for (const { timestamp } of [...waiting, next]) assert.include(stored, timestamp)
      assert.isTrue(own.connection.isOpen())
    })
  )

  it.live("hears of no stored operation after a refusal, and is reset when it comes back", () =>
    Effect.gen(function* () {
      const { committing, library } = yield* startSlowly()
      const { connection, replica } = yield* join(library, "own", "realtime")
      const peer = yield* join(library, "peer")
      yield* write(connection, replica, replica.operation("item/x", initialize({ id: "x" })))
      const refused = replica.operation("item/x", set("n", 1))
      connection.send(replica.ack({ timestamp: replica.now() }))
      yield* connection.next("global-ack", ({ timestamp }) => String(timestamp) > refused.timestamp)

      yield* committing.close
      peer.connection.send(peer.replica.op(peer.replica.operation("item/y", initialize({ id: "y" }))))
      yield* taken(peer, connection)
      const next = replica.operation("item/x", set("n", 2))
      for (const operation of [refused, next]) connection.send(replica.op(operation))
      yield* taken({ connection, replica }, peer.connection)
      yield* committing.open
      assert.strictEqual((yield* connection.closed).code, 1013)
      assert.isFalse(isAcknowledged(connection, refused))
      assert.notInclude(yield* content(library), refused.timestamp)
      const again = yield* connectVerdant(library, yield* library.token({ userId: "own" }))
      again.send(replica.sync({ since: replica.now(), operations: [refused, next] }))
      assert.isTrue((yield* again.next("sync-resp"))["overwriteLocalData"])
    })
  )
})

describe("a passive replica that is connected", () => {
  it.live("hears of a watermark once it has promised to send nothing older", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer({ verdant }))
      const own = yield* join(library, "own", "realtime")
      const listener = yield* join(library, "listener")
      const behind = makeReplica()
      const passive = yield* connectVerdant(library, yield* library.token({ userId: "p", type: "passive-realtime" }))
      passive.send(behind.sync({ timestamp: behind.now(-60_000), resyncAll: true }))
      yield* passive.next("sync-resp")

      const written = own.replica.operation("item/x", initialize({ id: "x" }))
      yield* write(own.connection, own.replica, written)
      own.connection.send(own.replica.ack({ timestamp: own.replica.now() }))
      const { timestamp: watermark } = yield* own.connection.next(
        "global-ack",
        ({ timestamp }) => String(timestamp) > written.timestamp
      )
      const mayMerge = () =>
        passive.messages.some(({ globalAckTimestamp, timestamp, type }) =>
          type === "global-ack" ? timestamp === watermark : globalAckTimestamp === watermark
        )
      // This is sent to all replicas after the watermark.
      yield* taken(own, passive)
      yield* maintained(library, listener.connection, "visitor")
      assert.isFalse(mayMerge())

      passive.send(behind.ack({ timestamp: behind.now() }))
      yield* passive.next("global-ack", ({ timestamp }) => timestamp === watermark)
    })
  )
})

describe("a replica that joins with a clock behind the others'", () => {
  it.live("receives no watermark that its own changes may not have reached", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer({ verdant }))
      const { connection, replica } = yield* join(library, "own", "realtime")
      const written = replica.operation("item/x", initialize({ id: "x" }))
      yield* write(connection, replica, written)
      connection.send(replica.ack({ timestamp: replica.now() }))
      yield* connection.next("global-ack", ({ timestamp }) => String(timestamp) > written.timestamp)

      const answerTo = Effect.fnUntraced(function* (userId: string, ahead: number) {
        const joining = makeReplica()
        const member = yield* connectVerdant(library, yield* library.token({ userId, type: "passive-realtime" }))
        member.send(joining.sync({ timestamp: joining.now(ahead), resyncAll: true }))
        return yield* member.next("sync-resp")
      })
      assert.notProperty(yield* answerTo("behind", -60_000), "globalAckTimestamp")
      assert.property(yield* answerTo("in time", 0), "globalAckTimestamp")
    })
  )

  it.live(
    "has a change stored that it made once it was reset and before the server knew, although a newer one is",
    () =>
      Effect.gen(function* () {
        const library = libraryOn(yield* startServer({ verdant }))
        const own = yield* join(library, "own", "realtime")
        const written = own.replica.operation("item/x", initialize({ id: "x" }))
        yield* write(own.connection, own.replica, written)
        own.connection.send(own.replica.ack({ timestamp: own.replica.now() }))
        yield* own.connection.next("global-ack", ({ timestamp }) => String(timestamp) > written.timestamp)

        const behind = makeReplica()
        const joined = behind.now(-60_000)
        const connection = yield* connectVerdant(library, yield* library.token({ userId: "behind", type: "realtime" }))
        connection.send(behind.sync({ timestamp: joined, resyncAll: true }))
        assert.isTrue((yield* connection.next("sync-resp"))["overwriteLocalData"])
        const late = { ...behind.operation("item/y", initialize({ id: "y" })), timestamp: behind.now(-30_000) }
        const later = behind.operation("item/z", initialize({ id: "z" }))
        for (const operation of [late, later]) connection.send(behind.op(operation))
        // It may have lost what it wrote, so it is sent that.
        yield* connection.next("op-re", (message) => JSON.stringify(message).includes(later.timestamp))
        assert.isFalse(isAcknowledged(connection, late))

        for (const { timestamp } of [written, later]) connection.send(behind.ack({ timestamp }))
        yield* connection.next("need-since")
        connection.send(behind.sync({ since: joined, operations: [late, later] }))
        const answer = yield* connection.next("sync-resp")
        assert.isFalse(answer["overwriteLocalData"])
        assert.isAtLeast(String(answer["ackedTimestamp"]).localeCompare(later.timestamp), 0)
        const stored = yield* content(library)
        for (const { timestamp } of [late, later]) assert.include(stored, timestamp)
      })
  )
})
