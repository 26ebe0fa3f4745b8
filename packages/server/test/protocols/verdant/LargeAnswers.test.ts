/**
 * The answer to a newcomer of a large library is made in slices. Clients of the same room go on between two of them, and the
 * newcomer is sent everything once and in order, also when the library changes in between.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, HashMap, Layer, Result, Scope } from "effect"
import { connectVerdant, post, syncResponse } from "#test-support/clients/RawVerdant"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { makeLargeLibrary } from "#test-support/verdant/largeLibrary"
import { makeReplica, type Replica, set } from "#test-support/verdant/Replica"
import * as MemoryEventLog from "../../../src/adapters/MemoryEventLog.ts"
import { LibraryId, UserId } from "../../../src/domain/Ids.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import { byTimestamp, isVisibleTo } from "../../../src/domain/verdant/model/StoredItems.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import { makeFrameLog } from "../../../src/internal/FrameLog.ts"
import { SharedBytes } from "../../../src/internal/SharedBytes.ts"
import type { Grant } from "../../../src/ports/Access.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import type { Message } from "../../../src/protocols/verdant/Message.ts"
import { PollRefusals } from "../../../src/protocols/verdant/PollRefusals.ts"
import { REFUSAL_LIMITS } from "../../../src/protocols/verdant/Refusals.ts"
import { LibraryRooms, libraryKey } from "../../../src/protocols/verdant/Rooms.ts"
import { openSession } from "../../../src/protocols/verdant/Session.ts"
import { decodeMessage } from "../../../src/protocols/verdant/Wire.ts"
import { Committer } from "../../../src/rooms/Committer.ts"
import { CurrentFrameTraces } from "../../../src/rooms/FrameTraces.ts"
import { Openings } from "../../../src/rooms/Openings.ts"
import { Quotas } from "../../../src/rooms/Quotas.ts"

const OBJECTS = 4000

interface Sent {
  readonly type: string
  readonly operations?: ReadonlyArray<{ readonly oid: string; readonly timestamp: string; readonly data: object }>
  readonly [field: string]: unknown
}

/** A room with a large library of one writer, and sessions in it. */
const openRoom = Effect.fnUntraced(function* (objects = OBJECTS) {
  const key = libraryKey(LibraryId.make("large"))
  const writer = makeReplica("writer")
  const filled = makeLargeLibrary(key, writer, { userId: "ada", objects, perEvent: 1000, now: Date.now() })
  const services = yield* Layer.build(
    LibraryRooms.layer().pipe(
      Layer.provide([Committer.layer, Quotas.layer(), Openings.layer()]),
      Layer.provideMerge([MemoryEventLog.layerMemory, Signals.layerNone])
    )
  )
  const [first, ...rest] = filled.events
  yield* Context.get(services, EventLog).append([{ key, expectedVersion: 0, events: [first!, ...rest] }])
  const room = yield* Context.get(services, LibraryRooms).get(key)
  const frames = yield* makeFrameLog
  const traces = yield* CurrentFrameTraces
  const failures: Array<unknown> = []
  const run = (effect: Effect.Effect<void>): void => {
    Effect.runFork(Effect.tapCause(effect, (cause) => Effect.sync(() => void failures.push(cause))))
  }

  /** `onPiece`: the session calls it after each piece of an answer, with the number of pieces so far. */
  const open = Effect.fnUntraced(function* (
    userId: string,
    options: { readonly isRealtime?: boolean; readonly onPiece?: (pieces: number) => void } = {}
  ) {
    const sent: Array<Sent> = []
    const closed: Array<string> = []
    let [pieces, held] = [0, 0]
    const client = {
      ...{ id: crypto.randomUUID(), isRealtime: options.isRealtime ?? true },
      send: (message: Message) => {
        if (closed.length === 0) sent.push(JSON.parse(message.text))
      },
      sendVolatile: () => {},
      hold: () => {
        pieces += 1
        held += 1
        options.onPiece?.(pieces)
        return () => {
          held -= 1
        }
      },
      close: (_: number, reason: string) => void closed.push(reason),
      isSentAway: () => closed.length > 0
    }
    const grant: Grant = {
      ...{ libraryId: key.libraryId, userId: UserId.make(userId), readOnly: false, replicaType: 0 },
      ...{ documents: undefined, expiresAt: Number.POSITIVE_INFINITY, tokenId: undefined, issuedAt: undefined }
    }
    const scope = yield* Scope.fork(yield* Effect.scope)
    const session = yield* openSession(
      {
        ...{ ask: undefined, presenceTtl: 1000, touch: () => {}, run, inFlight: new SharedBytes(1024 * 1024) },
        ...{ frames, traces, pollRefusals: new PollRefusals(REFUSAL_LIMITS) },
        ...{ now: () => Date.now(), profileOf: () => Effect.succeed({}) }
      },
      room,
      client,
      grant
    ).pipe(Scope.provide(scope))
    const send = (...messages: ReadonlyArray<object>) =>
      session.receive(messages.map((message) => decodeMessage(JSON.parse(JSON.stringify(message)), userId)))
    return { sent, closed, send, scope, held: () => held, pieces: () => pieces }
  })

  /** Stores an operation of the first writer. */
  const write = (name: string, value: unknown, stored: () => void = () => {}): void =>
    room.submit(storeOperation(writer, name, value), "writer", ({ _tag }) => {
      assert.strictEqual(_tag, "Stored")
      stored()
    })
  return { room, open, write, writer, failures }
})

const storeOperation = (replica: Replica, name: string, value: unknown): LibraryCommand => {
  const json = replica.operation(name, set("seen", value))
  const operations = [{ ...Result.getOrThrow(decodeOperation(json)), owner: null }]
  return { _tag: "StoreOperations", replicaId: ReplicaId.make(replica.id), userId: "ada", type: 0, operations }
}

const typesOf = (sent: ReadonlyArray<Sent>): ReadonlyArray<string> => sent.map(({ type }) => type)
const answersIn = (sent: ReadonlyArray<Sent>): number => typesOf(sent).filter((type) => type === "sync-resp").length

/** How often each value that `write` stored was sent. */
const seenIn = (sent: ReadonlyArray<Sent>): ReadonlyArray<unknown> =>
  sent
    .flatMap(({ operations = [] }) => operations)
    .flatMap(({ data }) => ("name" in data && data.name === "seen" ? [(data as { value?: unknown }).value] : []))

const textsIn = (state: LibraryState, userId: string): ReadonlyArray<string> =>
  HashMap.toValues(state.entities)
    .flatMap(({ operations }) => operations)
    .filter((operation) => isVisibleTo(operation, userId))
    .sort(byTimestamp)
    .map(({ text }) => text)

describe("the answer to a newcomer of a large library", () => {
  it.live("holds the library as it was, in the order of the timestamps, and counts while it is made", () =>
    Effect.gen(function* () {
      const { failures, open, room } = yield* openRoom()
      const expected = textsIn(room.state(), "bert")
      const bert = yield* open("bert")
      yield* bert.send(makeReplica().sync({ resyncAll: true }))
      yield* until("it is answered", () => answersIn(bert.sent) === 1)
      const { operations } = bert.sent.find(({ type }) => type === "sync-resp")!
      assert.deepStrictEqual(
        operations?.map((operation) => JSON.stringify(operation)),
        expected
      )
      assert.isAbove(bert.pieces(), 10)
      yield* until("nothing counts", () => bert.held() === 0)
      assert.deepStrictEqual(failures, [])
    })
  )

  it.live("comes before all that is stored while it is made, of which each is sent once", () =>
    Effect.gen(function* () {
      const { failures, open, room, write } = yield* openRoom()
      let stored = 0
      const onPiece = (pieces: number) => write("notes/n1", pieces, () => (stored += 1))
      const bert = yield* open("bert", { onPiece })
      const before = room.version()
      yield* bert.send(makeReplica().sync({ resyncAll: true }))
      yield* until(
        "it is answered, and everything is stored",
        () => answersIn(bert.sent) === 1 && stored === bert.pieces()
      )
      write("notes/n1", "last")
      yield* until("the last one is sent", () => seenIn(bert.sent).includes("last"))
      const expected = [...Array.from({ length: bert.pieces() }, (_, i) => i + 1), "last"]
      assert.deepStrictEqual(seenIn(bert.sent), expected)
      const types = typesOf(bert.sent).filter((type) => type !== "server-ack")
      assert.deepStrictEqual(types, ["sync-resp", ...expected.map(() => "op-re")])
      assert.isAbove(room.version(), before + 10)
      assert.deepStrictEqual(failures, [])
    })
  )

  it.live("is not waited for by other clients, and those of several newcomers are made one after the other", () =>
    Effect.gen(function* () {
      const { failures, open, room, write } = yield* openRoom(10_000)
      const users = ["bert", "cleo", "dora"]
      const made: Array<string> = []
      const sessions = yield* Effect.forEach(users, (user) => open(user, { onPiece: () => void made.push(user) }))
      const isAnswered = () => sessions.every(({ sent }) => answersIn(sent) === 1)
      let stored = 0
      const writeOn = (): void => {
        stored += 1
        if (!isAnswered()) write("notes/n1", stored, writeOn)
      }
      const joined = sessions.map((session) => session.send(makeReplica().sync({ resyncAll: true })))
      write("notes/n1", stored, writeOn)
      for (const each of joined) yield* each
      yield* until("all are answered", isAnswered)
      assert.isAbove(stored, 5)
      assert.deepStrictEqual(
        made.filter((user, i) => user !== made[i - 1]),
        users
      )
      // Each write is in an answer or after it.
      for (const { sent } of sessions) {
        yield* until("the last one is sent", () => seenIn(sent).includes(stored - 1))
        assert.deepStrictEqual(
          seenIn(sent),
          Array.from({ length: stored }, (_, i) => i)
        )
      }
      assert.isFalse(room.isDropped())
      assert.deepStrictEqual(failures, [])
    })
  )

  it.live("ends with the connection, and the replica is reset by its next one", () =>
    Effect.gen(function* () {
      const { failures, open, room } = yield* openRoom()
      const replica = makeReplica()
      const bert = yield* open("bert")
      yield* bert.send(replica.sync({ resyncAll: true }))
      assert.deepStrictEqual(bert.sent, [])
      yield* Scope.close(bert.scope, yield* Effect.exit(Effect.void))
      yield* until("nothing counts", () => bert.held() === 0)
      assert.strictEqual(answersIn(bert.sent), 0)
      const again = yield* open("bert")
      yield* again.send(replica.sync({ resyncAll: true }))
      yield* until("it is answered", () => answersIn(again.sent) === 1)
      assert.deepInclude(
        again.sent.find(({ type }) => type === "sync-resp"),
        { overwriteLocalData: true }
      )
      assert.strictEqual(answersIn(bert.sent), 0)
      assert.isTrue(room.state().replicas.has(ReplicaId.make(replica.id)))
      assert.deepStrictEqual(failures, [])
    })
  )

  for (const [name, command] of [
    ["evicted", { _tag: "EvictLibrary" }],
    ["deleted", { _tag: "DeleteLibrary" }]
  ] as const) {
    for (const isRealtime of [true, false]) {
      it.live(`is not sent once the library is ${name} (${isRealtime ? "realtime" : "pull"})`, () =>
        Effect.gen(function* () {
          const { failures, open, room } = yield* openRoom(10_000)
          yield* room.subscribe({
            id: "operator",
            deliver: ({ event }) => {
              // The answer is being made from now on.
              if (event.type === "ReplicaJoined") room.submit(command, "operator", () => {})
            },
            relay: () => {},
            fail: () => assert.fail("the room failed")
          })
          const bert = yield* open("bert", { isRealtime })
          yield* bert.send(makeReplica().sync({ resyncAll: true }))
          yield* until("the connection is closed", () => bert.closed.length > 0)
          yield* until("nothing counts", () => bert.held() === 0)
          assert.strictEqual(answersIn(bert.sent), 0)
          assert.isFalse(room.isDropped())
          assert.deepStrictEqual(failures, [])
        })
      )
    }
  }

  it.live("comes before the answers to the client's later messages, also to its second sync", () =>
    Effect.gen(function* () {
      const { failures, open, writer } = yield* openRoom()
      const ada = yield* open("ada")
      const late = makeReplica()
      yield* ada.send(late.sync({ resyncAll: true }), { type: "heartbeat" })
      assert.deepStrictEqual(typesOf(ada.sent), ["heartbeat-response"])
      const operation = late.operation("notes/n1", set("seen", "own"))
      yield* ada.send(late.op(operation), late.sync({ since: late.now() }))
      const acked = ada.sent.findIndex(
        ({ timestamp, type }) => type === "server-ack" && timestamp === operation.timestamp
      )
      const answered = ada.sent.findIndex(({ type }) => type === "sync-resp")
      assert.isTrue(answered > 0 && answered < acked)
      yield* until("the second sync is answered", () => answersIn(ada.sent) === 2)
      assert.isAbove(typesOf(ada.sent).lastIndexOf("sync-resp"), acked)
      assert.notStrictEqual(writer.id, late.id)
      assert.deepStrictEqual(failures, [])
    })
  )
})

it.live("a poll of a large library is answered with all of it", () =>
  Effect.gen(function* () {
    const services = yield* Layer.build(MemoryEventLog.layerMemory)
    const server = yield* startMemoryServer({}, Layer.succeedContext(services))
    const library = libraryOn(server)
    const key = libraryKey(library.id)
    const { events, state } = makeLargeLibrary(key, makeReplica("writer"), {
      ...{ userId: "ada", objects: OBJECTS, perEvent: 1000, now: Date.now() }
    })
    const [first, ...rest] = events
    yield* server.log.append([{ key, expectedVersion: 0, events: [first!, ...rest] }])
    const token = yield* library.token({ userId: "bert" })
    const answer = yield* post(library, token, [makeReplica().sync({ resyncAll: true })])
    const operations = syncResponse(answer)?.["operations"] as ReadonlyArray<object> | undefined
    assert.deepStrictEqual(
      operations?.map((operation) => JSON.stringify(operation)),
      textsIn(state, "bert")
    )

    const connection = yield* connectVerdant(library, token)
    connection.send(makeReplica().sync({ resyncAll: true }))
    const response = yield* connection.next("sync-resp")
    // Some of it may be compacted by then.
    const items = [response["operations"], response["baselines"]].flat() as ReadonlyArray<{ readonly oid: string }>
    assert.strictEqual(new Set(items.map(({ oid }) => oid)).size, OBJECTS)
  })
)
