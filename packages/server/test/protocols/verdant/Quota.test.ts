/** Raw clients of a library that reaches its quota, on a running server. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, PubSub, Stream } from "effect"
import { connectVerdant, post, type RawVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { type Library, libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica, type Patch, ref, set } from "#test-support/verdant/Replica"
import * as MemoryEventLog from "../../../src/adapters/MemoryEventLog.ts"
import { resetQuota, setQuota } from "../../../src/admin/LibraryQuota.ts"
import type { QuotaChange } from "../../../src/domain/Quota.ts"
import type { StreamKey } from "../../../src/domain/Stream.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"

/** A server with this quota, a library on it, and the operator's commands, as another process would run them. */
const start = Effect.fnUntraced(function* (quota: QuotaChange) {
  const log = yield* Layer.build(MemoryEventLog.layerMemory)
  const wakeups = yield* PubSub.unbounded<ReadonlyArray<StreamKey>>()
  const signals = Signals.of({
    announce: (keys) => PubSub.publish(wakeups, keys),
    wakeups: Stream.fromPubSub(wakeups),
    broadcast: () => Effect.void,
    broadcasts: Stream.never
  })
  const layers = [Layer.succeedContext(log), Layer.succeed(Signals, signals)] as const
  const library = libraryOn(yield* startMemoryServer({ quota }, ...layers))
  const run = <A, E>(effect: Effect.Effect<A, E, EventLog | Signals>) =>
    effect.pipe(
      Effect.provideService(EventLog, Context.get(log, EventLog)),
      Effect.provideService(Signals, signals),
      Effect.orDie
    )
  return { library, run }
})

const connect = Effect.fnUntraced(function* (library: Library, userId: string) {
  const connection = yield* connectVerdant(library, yield* library.token({ userId }))
  const replica = makeReplica()
  const answer = yield* registerReplica(connection, replica)
  const write = (oid: string, data: Patch) => connection.send(replica.op(replica.operation(oid, data)))
  return { connection, replica, answer, write }
})

const forbidden = ({ messages }: RawVerdant): number => messages.filter(({ type }) => type === "forbidden").length
const oidsIn = (operations: unknown) => (operations as ReadonlyArray<{ oid: string }>).map(({ oid }) => oid)

describe("a client of a library that has reached its quota", () => {
  it.live("is refused new objects, while other clients read, change and delete, and goes on once it is raised", () =>
    Effect.gen(function* () {
      const { library, run } = yield* start({ objects: 3 })
      const ada = yield* connect(library, "ada")
      for (const name of ["a", "b", "c"]) ada.write(`notes/${name}`, initialize({}))
      yield* ada.connection.settled
      assert.strictEqual(forbidden(ada.connection), 0)
      ada.write("notes/d", initialize({}))
      yield* ada.connection.settled
      assert.strictEqual(forbidden(ada.connection), 1)

      const bert = yield* connect(library, "bert")
      assert.deepStrictEqual(oidsIn(bert.answer["operations"]), ["notes/a", "notes/b", "notes/c"])
      bert.write("notes/a", set("x", 1))
      bert.write("notes/b", { op: "delete" })
      yield* bert.connection.settled
      assert.strictEqual(forbidden(bert.connection), 0)
      yield* until("ada has both", () => ada.connection.messages.filter(({ type }) => type === "op-re").length === 2)

      assert.isTrue(yield* run(setQuota(library.id, { objects: 5 })))
      assert.isFalse(yield* run(setQuota(library.id, { objects: 5 })))
      const stored = () => bert.connection.messages.some((message) => JSON.stringify(message).includes("notes/e"))
      yield* until(
        "an object is taken",
        Effect.gen(function* () {
          ada.write("notes/e", initialize({}))
          yield* ada.connection.settled
          yield* bert.connection.settled
          return stored()
        })
      )
      assert.isTrue(ada.connection.isOpen() && bert.connection.isOpen())

      assert.isTrue(yield* run(resetQuota(library.id)))
      yield* until(
        "the server's quota is back",
        Effect.gen(function* () {
          const before = forbidden(ada.connection)
          ada.write(`notes/${crypto.randomUUID()}`, initialize({}))
          yield* ada.connection.settled
          return forbidden(ada.connection) > before
        })
      )
    })
  )

  it.live("keeps no part of a message whose new objects have no room", () =>
    Effect.gen(function* () {
      const { library } = yield* start({ objects: 1 })
      const { connection, replica, write } = yield* connect(library, "ada")
      write("notes/a", initialize({}))
      connection.send(
        replica.op(
          replica.operation("notes/a:x", initialize({})),
          replica.operation("notes/a", set("x", ref("notes/a:x")))
        )
      )
      yield* connection.settled
      assert.strictEqual(forbidden(connection), 1)
      const reader = yield* connect(library, "bert")
      assert.deepStrictEqual(oidsIn(reader.answer["operations"]), ["notes/a"])
    })
  )

  it.live("is not joined by another replica, and polls are refused like it", () =>
    Effect.gen(function* () {
      const { library } = yield* start({ replicas: 1 })
      const ada = yield* connect(library, "ada")
      const other = yield* connectVerdant(library, yield* library.token({ userId: "bert" }))
      other.send(makeReplica().sync({ resyncAll: true }))
      yield* other.settled
      assert.deepStrictEqual([forbidden(other), other.isOpen()], [1, true])
      const token = yield* library.token({ userId: "bert", type: "push" })
      const answer = yield* post(library, token, [makeReplica().sync({ resyncAll: true })])
      assert.deepStrictEqual([answer.status, answer.messages.map(({ type }) => type)], [200, ["forbidden"]])
      ada.write("notes/a", initialize({}))
      yield* ada.connection.settled
      assert.strictEqual(forbidden(ada.connection), 0)
    })
  )

  it.live("that would bring more than that to an empty library brings nothing, and all of it later", () =>
    Effect.gen(function* () {
      const { library, run } = yield* start({ objects: 1 })
      const connection = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
      const replica = makeReplica()
      const operations = ["a", "b"].map((name) => replica.operation(`notes/${name}`, initialize({})))
      connection.send(replica.sync({ operations }))
      yield* connection.settled
      assert.strictEqual(forbidden(connection), 1)
      yield* run(setQuota(library.id, { objects: 2 }))
      yield* until(
        "all is taken",
        Effect.gen(function* () {
          connection.send(replica.sync({ operations }))
          yield* connection.settled
          return connection.messages.some(({ type }) => type === "sync-resp")
        })
      )
      const reader = yield* connect(library, "bert")
      assert.deepStrictEqual(oidsIn(reader.answer["operations"]), ["notes/a", "notes/b"])
    })
  )
})
