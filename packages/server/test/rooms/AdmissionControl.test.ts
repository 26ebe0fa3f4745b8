/** Connected clients of one library, beside a library whose administrative stream cannot be read. */
import { assert, it } from "@effect/vitest"
import { Effect, Latch, Layer, PubSub, Stream } from "effect"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { libraryAdministration, toNewEvent } from "../../src/domain/Administration.ts"
import { LibraryId } from "../../src/domain/Ids.ts"
import { type NewEvent, place, type StreamKey } from "../../src/domain/Stream.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { AdmissionControl } from "../../src/rooms/AdmissionControl.ts"

const append = Effect.fnUntraced(function* (log: EventLog["Service"], key: StreamKey, event: NewEvent) {
  const [head] = yield* log.heads([key])
  const placed = place(key, head!, event, "operator", 0)
  yield* log.append([{ key, expectedVersion: head!.version, events: [{ event: placed, payload: null }] }])
}, Effect.orDie)

it.effect("sends the clients of a suspended library away, again and again, beside a library that cannot be read", () =>
  Effect.gen(function* () {
    const { layer, log } = yield* makeTroubledLog
    const wakeups = yield* PubSub.unbounded<ReadonlyArray<StreamKey>>()
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
    const [broken, first, second] = ["broken", "first", "second"].map((id) => LibraryId.make(id)) as [
      LibraryId,
      LibraryId,
      LibraryId
    ]
    yield* Effect.gen(function* () {
      const { admit } = yield* AdmissionControl
      yield* listening.await
      const admitTo = Effect.fnUntraced(function* (libraryId: LibraryId) {
        const left = yield* Latch.make()
        yield* admit({ userId: "ada", libraryId } as never, () => left.openUnsafe())
        return left
      })
      yield* admitTo(broken)
      yield* append(log, libraryAdministration(broken), {
        ...toNewEvent({ _tag: "LibrarySuspended" }),
        type: "Nonsense"
      })
      for (const libraryId of [first, second]) {
        const left = yield* admitTo(libraryId)
        yield* append(log, libraryAdministration(libraryId), toNewEvent({ _tag: "LibrarySuspended" }))
        yield* PubSub.publish(wakeups, [libraryAdministration(broken), libraryAdministration(libraryId)])
        yield* left.await
      }
      const exit = yield* Effect.exit(admitTo(broken))
      assert.strictEqual(exit._tag, "Failure", "a library that cannot be read admits no one")
    }).pipe(
      Effect.scoped,
      Effect.provide(AdmissionControl.layer.pipe(Layer.provide([layer, Layer.succeed(Signals, signals)])))
    )
  })
)

it.effect(
  "sends a client away that is revoked again, after the log was restored from before its library was closed",
  () =>
    Effect.gen(function* () {
      const [before, after] = [yield* makeTroubledLog, yield* makeTroubledLog]
      let log = before.log
      const restored = Layer.succeed(
        EventLog,
        EventLog.of({
          ...before.log,
          heads: (keys) => log.heads(keys),
          read: (key, options) => log.read(key, options),
          tail: (key, options) => log.tail(key, options)
        })
      )
      const libraryId = LibraryId.make("restored")
      const key = libraryAdministration(libraryId)
      yield* append(before.log, key, toNewEvent({ _tag: "LibrarySuspended" }))
      yield* append(before.log, key, toNewEvent({ _tag: "LibraryResumed" }))
      yield* Effect.gen(function* () {
        const { admit } = yield* AdmissionControl
        yield* admit({ userId: "ada", libraryId } as never, () => {})
        log = after.log
        yield* append(after.log, key, toNewEvent({ _tag: "LibrarySuspended" }))
        const exit = yield* Effect.exit(admit({ userId: "ada", libraryId } as never, () => {}))
        assert.strictEqual(exit._tag, "Failure")
      }).pipe(Effect.scoped, Effect.provide(AdmissionControl.layer.pipe(Layer.provide([restored, Signals.layerNone]))))
    })
)
