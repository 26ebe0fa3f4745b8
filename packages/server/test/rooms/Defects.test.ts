/** Rooms whose protocol, sessions or listeners throw at a chosen place: each fault stays with the one that it belongs to. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Latch, Layer, PubSub, Result, Scope, Stream } from "effect"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { LibraryId } from "../../src/domain/Ids.ts"
import { type NewEvent, place, type StreamEvent, type StreamKey } from "../../src/domain/Stream.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { Committer } from "../../src/rooms/Committer.ts"
import type { Committed, FailReason, Outcome, Room, RoomProtocol } from "../../src/rooms/RoomProtocol.ts"
import { makeRooms, type Rooms } from "../../src/rooms/Rooms.ts"

type Place = "decide" | "place" | "evolve" | "frame" | "observe" | "hear"

/** A command is the number that is added to the sum. The chosen place throws for `trouble.number`. */
type NumbersRoom = Room<number, number, "zero", null>

interface Trouble {
  place: Place | undefined
  number: number
}

const eventOf = (number: number): NewEvent => ({ type: "Added", data: { number }, payloadHash: "", checkpoint: false })
const numberOf = ({ data }: StreamEvent): number => (data as unknown as { readonly number: number }).number

/** `data` cannot be written as canonical JSON, so that placing the event throws. */
const unplaceable = (number: number): NewEvent => ({
  ...eventOf(number),
  get data(): never {
    throw new Error("made to fail")
  }
})

const makeNumbers = (trouble: Trouble): RoomProtocol<number, number, "zero", null, undefined> => {
  const fail = (place: Place, number: number): void => {
    if (trouble.place === place && trouble.number === number) throw new Error("made to fail")
  }
  return {
    initial: () => 0,
    context: () => undefined,
    decide: (_, number) => {
      fail("decide", number)
      if (number === 0) return Result.fail("zero")
      const isUnplaceable = trouble.place === "place" && trouble.number === number
      return Result.succeed({ event: isUnplaceable ? unplaceable(number) : eventOf(number), payload: null })
    },
    evolve: (sum, event) => {
      fail("evolve", numberOf(event))
      return sum + numberOf(event)
    },
    readsPayloads: false,
    isSettled: () => false,
    frame: (event) => {
      fail("frame", numberOf(event))
      return Uint8Array.of(numberOf(event))
    },
    local: () => null,
    observe: (_, event) => fail("observe", numberOf(event)),
    hear: () => fail("hear", trouble.number)
  }
}

const keyOf = (streamId: string): StreamKey => ({ libraryId: LibraryId.make("library"), streamId })
const key = keyOf("numbers")

/** A session that keeps what it is sent. `throws`: what it does when it is sent something. */
const makeSession = (id: string, throws: "deliver" | "relay" | undefined = undefined) => {
  const session = {
    id,
    delivered: [] as Array<number>,
    relayed: 0,
    failures: 0,
    failedFor: undefined as FailReason | undefined,
    deliver: ({ event, frame }: Committed) => {
      if (throws === "deliver") throw new Error("made to fail")
      assert.deepStrictEqual(frame, Uint8Array.of(numberOf(event)))
      session.delivered.push(numberOf(event))
    },
    relay: () => {
      if (throws === "relay") throw new Error("made to fail")
      session.relayed += 1
    },
    fail: (why: FailReason) => {
      session.failures += 1
      session.failedFor = why
    }
  }
  return session
}

const submit = (room: NumbersRoom, number: number, origin = "a") =>
  Effect.callback<Outcome<"zero">>((resume) =>
    room.submit(number, origin, (outcome) => resume(Effect.succeed(outcome)))
  )

/** Appends as another process does. */
const appendForeign = Effect.fnUntraced(function* (log: EventLog["Service"], number: number) {
  const [head] = yield* log.heads([key])
  const event = place(key, head!, eventOf(number), "another process", 0)
  yield* log.append([{ key, expectedVersion: head!.version, events: [{ event, payload: null }] }])
}, Effect.orDie)

/** The rooms, and the log as another process sees it. */
const withRooms = <E>(
  use: (
    rooms: Rooms<number, number, "zero", null>,
    trouble: Trouble,
    log: EventLog["Service"]
  ) => Effect.Effect<void, E, Scope.Scope>
) =>
  Effect.gen(function* () {
    const { layer, log } = yield* makeTroubledLog
    const trouble: Trouble = { place: undefined, number: 13 }
    yield* Effect.gen(function* () {
      yield* use(yield* makeRooms(makeNumbers(trouble), { protocol: "secsync", idle: "1 minute" }), trouble, log)
    }).pipe(Effect.scoped, Effect.provide(Committer.layer.pipe(Layer.provideMerge([layer, Signals.layerNone]))))
  })

/** Signals whose wake-ups a test publishes. */
const makeWakeups = Effect.gen(function* () {
  const wakeups = yield* PubSub.unbounded<ReadonlyArray<StreamKey> | "all">()
  const listening = yield* Latch.make()
  const signals = Signals.of({
    announce: () => Effect.void,
    wakeups: Stream.unwrap(
      Effect.map(Effect.tap(PubSub.subscribe(wakeups), listening.open), (subscription) =>
        Stream.fromSubscription(subscription)
      )
    ),
    broadcast: () => Effect.void,
    broadcasts: Stream.never
  })
  return { signals, listening, wake: PubSub.publish(wakeups, "all") }
})

/** A room that lacks an event of another process, and a session that is subscribed to it. */
const behindAnotherProcess = Effect.fnUntraced(function* (
  rooms: Rooms<number, number, "zero", null>,
  log: EventLog["Service"]
) {
  const room = yield* rooms.get(key)
  const session = makeSession("a")
  yield* room.subscribe(session)
  yield* appendForeign(log, 13)
  return { room, session }
})

const storedIn = (log: EventLog["Service"]) =>
  Effect.map(log.read(key, { after: 0 }), (events) => events.map(({ event }) => numberOf(event)))

describe("a room that has ended without a defect", () => {
  for (const [why, end] of [
    ["memory", (room: NumbersRoom) => room.giveWay()],
    ["restored", (room: NumbersRoom) => room.leaveLog()]
  ] as const) {
    it.effect(`tells a command and a session that come too late that they may come back (${why})`, () =>
      withRooms((rooms) =>
        Effect.gen(function* () {
          const room = yield* rooms.get(key)
          end(room)
          const session = makeSession("late")
          yield* room.subscribe(session)
          assert.strictEqual(session.failedFor, why)
          assert.strictEqual((yield* submit(room, 1))._tag, "Unavailable")
          assert.strictEqual((yield* submit(yield* rooms.get(key), 1))._tag, "Stored")
        })
      )
    )
  }
})

describe("a command for which the rules throw", () => {
  for (const place of ["decide", "place", "evolve", "frame"] as const) {
    it.effect(`fails alone when ${place} throws, and the commands before and after it are stored in their order`, () =>
      withRooms((rooms, trouble, log) =>
        Effect.gen(function* () {
          const room = yield* rooms.get(key)
          const session = makeSession("a")
          yield* room.subscribe(session)
          trouble.place = place
          const answers: Array<readonly [number, string]> = []
          const all = Effect.forEach(
            [1, 13, 2, 0, 13, 3],
            (number) =>
              Effect.map(submit(room, number), (outcome) => {
                answers.push([number, outcome._tag])
                if (outcome._tag === "Stored") assert.strictEqual(numberOf(outcome.event), number)
              }),
            { concurrency: "unbounded" }
          )
          yield* all
          yield* Effect.yieldNow
          const expected = [
            ...[[1, "Stored"] as const, [13, "Failed"] as const, [2, "Stored"] as const, [0, "Refused"] as const],
            ...[[13, "Failed"] as const, [3, "Stored"] as const]
          ]
          assert.deepStrictEqual(answers, expected)
          assert.deepStrictEqual(yield* storedIn(log), [1, 2, 3])
          assert.deepStrictEqual(session.delivered, [1, 2, 3])
          assert.deepStrictEqual([room.state(), room.version(), room.isIdle(), room.isDropped()], [6, 3, true, false])
          assert.strictEqual((yield* submit(yield* rooms.get(keyOf("other")), 1))._tag, "Stored")
        })
      )
    )
  }

  it.effect("fails alone when the room decides it again after a conflict", () =>
    withRooms((rooms, trouble, log) =>
      Effect.gen(function* () {
        const room = yield* rooms.get(key)
        yield* appendForeign(log, 5)
        trouble.place = "evolve"
        const outcomes = yield* Effect.forEach([1, 13, 2], (number) => submit(room, number), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          outcomes.map(({ _tag }) => _tag),
          ["Stored", "Failed", "Stored"]
        )
        assert.deepStrictEqual(yield* storedIn(log), [5, 1, 2])
        assert.strictEqual(room.state(), 8)
      })
    )
  )
})

describe("a session that throws", () => {
  for (const place of ["deliver", "relay"] as const) {
    it.effect(`fails alone when its ${place} throws, and the other sessions get everything`, () =>
      withRooms((rooms) =>
        Effect.gen(function* () {
          const room = yield* rooms.get(key)
          const [first, faulty, last] = [makeSession("first"), makeSession("faulty", place), makeSession("last")]
          for (const session of [first, faulty, last]) yield* room.subscribe(session)
          room.relay(Uint8Array.of(), first)
          room.receive(Uint8Array.of(0, 1))
          for (const number of [1, 2]) assert.strictEqual((yield* submit(room, number))._tag, "Stored")
          yield* Effect.yieldNow
          assert.deepStrictEqual(
            [first.delivered, last.delivered],
            [
              [1, 2],
              [1, 2]
            ]
          )
          assert.deepStrictEqual([first.relayed, last.relayed], [1, 2])
          assert.deepStrictEqual([first.failures, faulty.failures, last.failures], [0, 1, 0])
          assert.isFalse(room.isDropped())
        })
      )
    )
  }

  it.effect("fails when its answer throws, and the commands behind it are answered", () =>
    withRooms((rooms, _, log) =>
      Effect.gen(function* () {
        const room = yield* rooms.get(key)
        const [faulty, other] = [makeSession("faulty"), makeSession("other")]
        for (const session of [faulty, other]) yield* room.subscribe(session)
        for (const number of [1, 0]) {
          room.submit(number, "faulty", () => {
            throw new Error("made to fail")
          })
        }
        assert.strictEqual((yield* submit(room, 2, "other"))._tag, "Stored")
        yield* Effect.yieldNow
        assert.deepStrictEqual([faulty.failures, other.failures], [1, 0])
        assert.deepStrictEqual(other.delivered, [1, 2])
        assert.deepStrictEqual(yield* storedIn(log), [1, 2])
      })
    )
  )

  it.effect("does not keep the room from its work when even its end throws", () =>
    withRooms((rooms) =>
      Effect.gen(function* () {
        const room = yield* rooms.get(key)
        const fail = () => {
          throw new Error("made to fail")
        }
        yield* room.subscribe({ id: "a", deliver: fail, relay: fail, fail })
        for (const number of [1, 2]) assert.strictEqual((yield* submit(room, number))._tag, "Stored")
      })
    )
  )
})

describe("a room whose state is in doubt", () => {
  it.effect("is dropped when an observer of a commit throws; the next session opens the stream from the log", () =>
    withRooms((rooms, trouble, log) =>
      Effect.gen(function* () {
        const room = yield* rooms.get(key)
        const session = makeSession("a")
        yield* room.subscribe(session)
        trouble.place = "observe"
        const outcomes = yield* Effect.forEach([1, 13, 2], (number) => submit(room, number), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          outcomes.map(({ _tag }) => _tag),
          ["Stored", "Stored", "Failed"]
        )
        assert.deepStrictEqual([session.failures, room.isDropped(), room.isIdle()], [1, true, true])
        assert.strictEqual((yield* submit(room, 3))._tag, "Failed")
        const late = makeSession("late")
        yield* room.subscribe(late)
        assert.strictEqual(late.failures, 1)

        const next = yield* rooms.get(key)
        assert.notStrictEqual(next, room)
        assert.strictEqual((yield* submit(next, 4))._tag, "Stored")
        assert.deepStrictEqual(yield* storedIn(log), [1, 13, 2, 4])
        assert.strictEqual(next.state(), 20)
      })
    )
  )

  it.effect("is dropped when an event of another process cannot be applied, and serves again when it can", () =>
    withRooms((rooms, trouble, log) =>
      Effect.gen(function* () {
        const { room, session } = yield* behindAnotherProcess(rooms, log)
        trouble.place = "evolve"
        assert.strictEqual((yield* submit(room, 0))._tag, "Failed")
        assert.deepStrictEqual([session.failures, room.isDropped()], [1, true])

        const isRefused = Effect.map(Effect.exit(Effect.scoped(rooms.get(key))), Exit.hasDies)
        assert.isTrue(yield* isRefused, "the stream cannot be opened")
        assert.strictEqual((yield* submit(yield* rooms.get(keyOf("other")), 1))._tag, "Stored")
        trouble.place = undefined
        assert.strictEqual((yield* submit(yield* rooms.get(key), 1))._tag, "Stored")
        assert.deepStrictEqual(yield* storedIn(log), [13, 1])
      })
    )
  )

  it.effect("closes its sessions when the frame of another process's event cannot be made, and goes on", () =>
    withRooms((rooms, trouble, log) =>
      Effect.gen(function* () {
        const { room, session } = yield* behindAnotherProcess(rooms, log)
        trouble.place = "frame"
        assert.strictEqual((yield* submit(room, 1))._tag, "Stored")
        assert.deepStrictEqual([session.failures, session.failedFor, session.delivered], [1, "defect", []])
        assert.deepStrictEqual([room.state(), room.isDropped()], [14, false])
        yield* Effect.yieldNow
        const late = makeSession("late")
        yield* room.subscribe(late)
        assert.strictEqual((yield* submit(room, 2))._tag, "Stored")
        yield* Effect.yieldNow
        assert.deepStrictEqual([late.failures, late.delivered], [0, [2]])
      })
    )
  )

  it.effect("does not take its successor with it when its last session goes", () =>
    withRooms((rooms, trouble) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const room = yield* Scope.provide(rooms.get(key), scope)
        trouble.place = "observe"
        yield* submit(room, 13)
        yield* Effect.yieldNow
        const next = yield* rooms.get(key)
        assert.notStrictEqual(next, room)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* rooms.get(key), next)
      })
    )
  )
})

describe("listeners of rooms", () => {
  it.effect("that throw after a commit do not keep the others from being called", () =>
    withRooms((rooms) =>
      Effect.gen(function* () {
        const room = yield* rooms.get(key)
        let calls = 0
        yield* rooms.onCommitted(() => {
          throw new Error("made to fail")
        })
        yield* rooms.onCommitted(() => {
          calls += 1
        })
        for (const number of [1, 2]) assert.strictEqual((yield* submit(room, number))._tag, "Stored")
        yield* Effect.yieldNow
        assert.strictEqual(calls, 2)
      })
    )
  )

  it.effect("survive a message of another process that the protocol cannot take", () =>
    withRooms((rooms, trouble) =>
      Effect.gen(function* () {
        const room = yield* rooms.get(key)
        trouble.place = "hear"
        room.receive(Uint8Array.of(1, 0))
        assert.strictEqual((yield* submit(room, 1))._tag, "Stored")
      })
    )
  )

  it.effect("read on after a search for grown streams that threw", () =>
    Effect.gen(function* () {
      const { log } = yield* makeTroubledLog
      const { listening, signals, wake } = yield* makeWakeups
      const thrown = yield* Latch.make()
      let isFaulty = true
      const faulty = EventLog.of({
        ...log,
        heads: (keys) =>
          Effect.suspend(() => {
            if (!isFaulty) return log.heads(keys)
            thrown.openUnsafe()
            return Effect.die(new Error("made to fail"))
          })
      })
      yield* Effect.gen(function* () {
        const rooms = yield* makeRooms(makeNumbers({ place: undefined, number: 0 }), {
          protocol: "secsync",
          idle: "1 minute"
        })
        const room = yield* rooms.get(key)
        const arrived = yield* Latch.make()
        yield* room.subscribe({ ...makeSession("a"), deliver: () => arrived.openUnsafe() })
        yield* listening.await
        yield* wake
        yield* thrown.await
        isFaulty = false
        yield* appendForeign(log, 1)
        yield* wake
        yield* arrived.await
        assert.strictEqual(room.state(), 1)
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Committer.layer.pipe(Layer.provideMerge([Layer.succeed(EventLog, faulty), Layer.succeed(Signals, signals)]))
        )
      )
    })
  )
})
