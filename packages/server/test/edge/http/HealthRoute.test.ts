/** `GET /healthz` while commits and rooms stand still, on a clock that the tests move. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Fiber, Latch, Layer, type Scope } from "effect"
import { HttpRouter, HttpServerRequest, type HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { LibraryId } from "../../../src/domain/Ids.ts"
import { HealthRoute, makeHealth } from "../../../src/edge/http/HealthRoute.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { DocumentRooms } from "../../../src/protocols/secsync/Rooms.ts"
import { LibraryRooms, libraryKey } from "../../../src/protocols/verdant/Rooms.ts"
import { Committer } from "../../../src/rooms/Committer.ts"
import { Damage } from "../../../src/rooms/Damage.ts"
import { LogEpoch } from "../../../src/rooms/LogEpoch.ts"
import { Openings } from "../../../src/rooms/Openings.ts"
import { Quotas } from "../../../src/rooms/Quotas.ts"

const requestOf = (path: string) => HttpServerRequest.fromWeb(new Request(`http://localhost${path}`))

/** The status of the routes, and the rooms behind them. */
const start = Effect.fnUntraced(function* (change: (log: EventLog["Service"]) => EventLog["Service"]) {
  const { log } = yield* makeTroubledLog
  const services = yield* Layer.build(
    Layer.mergeAll(DocumentRooms.layer(), LibraryRooms.layer()).pipe(
      Layer.provide([Quotas.layer(), Openings.layer()]),
      Layer.provideMerge([Committer.layer, LogEpoch.layer, Damage.layer]),
      Layer.provideMerge([Layer.succeed(EventLog, change(log)), Signals.layerNone])
    )
  )
  const routes = HealthRoute(yield* Effect.provideContext(makeHealth, services))
  const app = yield* Effect.provideContext(HttpRouter.toHttpEffect(routes), services)
  const statusOf = (path: string) =>
    (app as Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Scope.Scope>).pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, requestOf(path)),
      Effect.provideContext(services),
      Effect.scoped,
      Effect.map(({ status }) => status),
      Effect.orDie
    )
  const status = statusOf("/healthz")
  const committer = Context.get(services, Committer)
  const room = yield* Context.get(services, LibraryRooms).get(libraryKey(LibraryId.make("notes")))
  return { status, statusOf, committer, room }
})

const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

/** A replica's first sync, which stores an event. */
const join = {
  ...({ _tag: "Sync", replicaId: "r1", userId: "ada", type: 0, timestamp: "", since: null } as const),
  ...{ askedBefore: undefined, resyncAll: false, isPolling: false, operations: [], baselines: [] }
} as never

it.effect("is 503 once a commit has not finished for ten seconds, and 200 when it has", () =>
  Effect.gen(function* () {
    const ends = yield* Latch.make()
    const { committer, room, status, statusOf } = yield* start((log) =>
      EventLog.of({ ...log, append: (batch) => Effect.andThen(ends.await, log.append(batch)) })
    )
    const done = yield* Latch.make()
    room.submit(join, "a", () => done.openUnsafe())
    while (committer.committingSince() === undefined) yield* nextTurn
    yield* TestClock.adjust("9 seconds")
    assert.strictEqual(yield* status, 200)
    yield* TestClock.adjust("1 second")
    assert.strictEqual(yield* statusOf("/readyz"), 503)
    assert.strictEqual(yield* statusOf("/livez"), 200)
    assert.strictEqual(yield* status, 503)
    yield* ends.open
    yield* done.await
    assert.strictEqual(yield* status, 200)
  })
)

it.effect("is 503 once a room has not answered for ten seconds, because its log is not read", () =>
  Effect.gen(function* () {
    const ends = yield* Latch.make()
    const { room, status } = yield* start((log) =>
      EventLog.of({ ...log, read: (key, options) => Effect.andThen(ends.await, log.read(key, options)) })
    )
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* status, 200)
    const done = yield* Latch.make()
    // A refusal, for which the room reads the log first.
    room.submit({ _tag: "Look" }, "a", () => done.openUnsafe())
    yield* TestClock.adjust("9 seconds")
    assert.strictEqual(yield* status, 200)
    yield* TestClock.adjust("1 second")
    assert.strictEqual(yield* status, 503)
    yield* ends.open
    yield* done.await
    assert.strictEqual(yield* status, 200)
  })
)

it.effect("asks the storage once a second, however many requests come", () =>
  Effect.gen(function* () {
    const answers = yield* Latch.make()
    let probes = 0
    const { status } = yield* start((log) =>
      EventLog.of({
        ...log,
        heads: (keys) => {
          if (keys[0]?.libraryId !== "@health") return log.heads(keys)
          probes += 1
          return Effect.andThen(answers.await, log.heads(keys))
        }
      })
    )
    const requests = yield* Effect.forEach(Array.from({ length: 100 }), () =>
      Effect.forkChild(status, { startImmediately: true })
    )
    // A client that goes does not take the answer from the others.
    yield* Fiber.interrupt(requests[0]!)
    yield* answers.open
    assert.deepStrictEqual(new Set(yield* Effect.forEach(requests.slice(1), Fiber.join)), new Set([200]))
    assert.strictEqual(yield* status, 200)
    assert.strictEqual(probes, 1)
    yield* TestClock.adjust("1 second")
    assert.strictEqual(yield* status, 200)
    assert.strictEqual(probes, 2)
  })
)
