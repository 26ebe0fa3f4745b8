/** A listener to changes reads the log only as fast as it takes them, and survives failures of the storage. */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { blake2b256 } from "../../../src/domain/Blake2b.ts"
import { LibraryId } from "../../../src/domain/Ids.ts"
import { emptyHead, type NewEvent, place, type StreamHead } from "../../../src/domain/Stream.ts"
import { toNewEvent, VERDANT } from "../../../src/domain/verdant/Events.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { VerdantLibraries } from "../../../src/protocols/verdant/VerdantLibraries.ts"

const libraryId = LibraryId.make("notes")
const key = { libraryId, streamId: VERDANT }
const EVENTS = 1000

const payloadOf = (number: number) =>
  Buffer.from(
    JSON.stringify({
      operations: [
        {
          oid: `item/${number}`,
          timestamp: `0001${number.toString(36).padStart(9, "0")}0000replica`,
          data: { op: "initialize", value: { text: "x".repeat(1000) } }
        }
      ],
      baselines: []
    })
  )

/** A library with many changes of a thousand characters each. */
const fill = Effect.fnUntraced(function* (log: EventLog["Service"]) {
  let head: StreamHead = emptyHead
  for (let number = 1; number <= EVENTS; number++) {
    const stored = {
      _tag: "OperationsStored",
      ...{ replicaId: "r1" as never, userId: "ada", type: 0 },
      ...{ operations: 1, baselines: 0, initial: number === 1, wrote: null }
    } as const
    const payload = payloadOf(number)
    const event = place(key, head, toNewEvent(stored, blake2b256(payload)), "test", number)
    yield* log.append([{ key, expectedVersion: head.version, events: [{ event, payload }] }])
    head = event
  }
})

const start = Effect.gen(function* () {
  const troubled = yield* makeTroubledLog
  yield* fill(troubled.log)
  const inner = Context.get(yield* Layer.build(troubled.layer), EventLog)
  let [read, failures] = [0, 0]
  const counted = EventLog.of({
    ...inner,
    read: (key, options) =>
      inner.read(key, options).pipe(
        Effect.tap((events) =>
          Effect.sync(() => {
            for (const { event, payload } of events) if (payload !== null) read = Math.max(read, event.version)
          })
        ),
        // The storage is available again after its first failure.
        Effect.tapError(() =>
          Effect.sync(() => {
            failures += 1
            troubled.trouble.down = false
          })
        )
      )
  })
  const layer = VerdantLibraries.layerWithoutServer().pipe(
    Layer.provide([Layer.succeed(EventLog, counted), Signals.layerNone])
  )
  const libraries = Context.get(yield* Layer.build(layer), VerdantLibraries)
  return { libraries, log: troubled.log, trouble: troubled.trouble, lastRead: () => read, failures: () => failures }
})

it.live("a listener does not read changes that it has not taken", () =>
  Effect.gen(function* () {
    const { lastRead, libraries } = yield* start
    const go = yield* Deferred.make<void>()
    const taken: Array<number> = []
    const halfway = yield* Deferred.make<number>()
    const listening = yield* libraries.changes(libraryId, 0).pipe(
      Stream.take(EVENTS),
      Stream.runForEach(({ version }) =>
        Effect.gen(function* () {
          taken.push(version)
          if (version !== EVENTS / 2) return
          // A listener that read ahead would do so in these turns.
          for (let turn = 0; turn < 1000; turn++) yield* Effect.yieldNow
          yield* Deferred.succeed(halfway, lastRead())
          yield* Deferred.await(go)
        })
      ),
      Effect.forkScoped
    )
    assert.isAtMost(yield* Deferred.await(halfway), EVENTS / 2 + 100)
    yield* Deferred.succeed(go, undefined)
    yield* Fiber.join(listening)
    assert.deepStrictEqual(
      taken,
      Array.from({ length: EVENTS }, (_, i) => i + 1)
    )
  })
)

it.live("a listener waits for an unavailable storage, and receives each change once", () =>
  Effect.gen(function* () {
    const { failures, libraries, trouble } = yield* start
    const taken = yield* libraries.allChanges(new Map([[libraryId, 10]])).pipe(
      Stream.take(EVENTS - 10),
      Stream.map(({ version }) => {
        if (version % 300 === 0) trouble.down = true
        return version
      }),
      Stream.runCollect
    )
    assert.isAbove(failures(), 0)
    assert.deepStrictEqual(
      Array.from(taken),
      Array.from({ length: EVENTS - 10 }, (_, i) => i + 11)
    )
  })
)

it.live("a listener to one library goes on after a defect of the storage", () =>
  Effect.gen(function* () {
    const { libraries, trouble } = yield* start
    trouble.beforeRead = { after: 100, happens: Effect.die(new Error("made to fail")) }
    const taken = yield* libraries.changes(libraryId, 0).pipe(
      Stream.take(EVENTS),
      Stream.map(({ version }) => version),
      Stream.runCollect
    )
    assert.lengthOf(taken, EVENTS)
  })
)

it.live("a listener to all libraries receives the changes beside a library that cannot be decoded", () =>
  Effect.gen(function* () {
    const { libraries, log } = yield* start
    const broken = { libraryId: LibraryId.make("broken"), streamId: VERDANT }
    const nonsense: NewEvent = { type: "OperationsStored", data: {}, payloadHash: "", checkpoint: false }
    const event = place(broken, emptyHead, nonsense, "test", 0)
    yield* log.append([{ key: broken, expectedVersion: 0, events: [{ event, payload: new Uint8Array(1) }] }])
    const taken = yield* libraries.allChanges(new Map()).pipe(
      Stream.take(EVENTS),
      Stream.map(({ version }) => version),
      Stream.runCollect
    )
    assert.strictEqual(Array.from(taken).at(-1), EVENTS)
  })
)
