/** Listing and following the events of a document or a library. */
import { assert, describe, it } from "@effect/vitest"
import { type EventsOptions, type EventsScope, eachEvent, type LoggedEvent } from "@sealog/server/admin/Events"
import { evict } from "@sealog/server/admin/Eviction"
import { suspend } from "@sealog/server/admin/Revocation"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { Signals } from "@sealog/server/ports/Signals"
import { Effect, Fiber, Queue, Stream } from "effect"
import { append, document, key, memory, snapshot, update } from "./support.ts"

const { libraryId } = key
const another = { libraryId, streamId: "another" }
const names = (events: ReadonlyArray<LoggedEvent>) => events.map(({ streamId, version }) => `${streamId} ${version}`)

const look = Effect.fnUntraced(function* (scope: EventsScope, from: EventsOptions["from"]) {
  const events: Array<LoggedEvent> = []
  yield* eachEvent(scope, { from, follow: false }, (page) => Effect.sync(() => void events.push(...page)))
  return events
})

const inMemory = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(memory, (log) => Effect.provideContext(effect, log))

describe("eachEvent", () => {
  it.effect("lists the last events of a document, with their details", () =>
    inMemory(
      Effect.gen(function* () {
        yield* append(key, document(700), { size: 100 })
        yield* append(key, [snapshot("second"), { _tag: "Pruned", before: 702 }])
        const all = yield* look(key, { last: 1000 })
        assert.lengthOf(all, 703)
        assert.deepInclude(all[0], { version: 1, type: "SnapshotStored", payloadBytes: null, purged: true })
        assert.deepInclude(all[701], { version: 702, payloadBytes: 12, purged: false, origin: "test" })
        assert.deepInclude(all[702], { type: "Pruned", data: { before: 702 }, payloadBytes: null, purged: false })
        assert.deepStrictEqual(yield* look(key, { last: 2 }), all.slice(-2))
        assert.deepStrictEqual(yield* look(key, { last: 0 }), [])
        assert.deepStrictEqual(yield* look(key, { after: 10 }), all.slice(10))
        assert.deepStrictEqual(yield* look(key, { after: 703 }), [])
      })
    )
  )

  it.effect("merges the events of a library by time, and keeps the order of each document", () =>
    inMemory(
      Effect.gen(function* () {
        yield* append(key, document(2), { recordedAt: 1000 })
        yield* append(another, document(1), { recordedAt: 500 })
        // A slow clock recorded this event, which is still the newest of its document.
        yield* append(another, [update(1)], { recordedAt: -10 })
        yield* append(key, [update(2)], { recordedAt: 2000 })
        yield* append({ libraryId, streamId: "third" }, document(1), { recordedAt: 1001 })
        const all = ["another 1", "another 2", "another 3", "welcome 1"]
        const rest = ["third 1", "welcome 2", "third 2", "welcome 3", "welcome 4"]
        assert.deepStrictEqual(names(yield* look({ libraryId }, { last: 50 })), [...all, ...rest])
        for (let last = 0; last <= 9; last++) {
          assert.deepStrictEqual(
            names(yield* look({ libraryId }, { last })),
            last === 0 ? [] : [...all, ...rest].slice(-last)
          )
        }
      })
    )
  )

  it.effect("refuses a library or document that does not exist, also when following", () =>
    inMemory(
      Effect.gen(function* () {
        yield* append(key, document(1))
        for (const scope of [{ libraryId: "other" as never }, another]) {
          for (const from of [{ last: 5 }, { after: 0 }]) {
            const error = yield* Effect.flip(eachEvent(scope, { from, follow: true }, () => Effect.void))
            assert.deepInclude(error, { _tag: "NoSuchStream", ...scope })
          }
        }
      })
    )
  )

  it.effect("follows only the requested streams, each event once and in order, whatever the signals name", () =>
    Effect.gen(function* () {
      const log = yield* memory
      const wakeups = yield* Queue.unbounded<ReadonlyArray<StreamKey> | "all">()
      const signals = Signals.of({
        announce: () => Effect.void,
        wakeups: Stream.fromQueue(wakeups),
        broadcast: () => Effect.void,
        broadcasts: Stream.never
      })
      const seen = yield* Queue.unbounded<LoggedEvent>()
      const elsewhere = { libraryId: "other" as never, streamId: "plan" }
      const watched = Effect.gen(function* () {
        yield* append(key, document(3))
        const following = yield* Effect.forkChild(
          eachEvent({ libraryId }, { from: { last: 1 }, follow: true }, (page) => Queue.offerAll(seen, page))
        )
        const next = (n: number) => Effect.map(Queue.takeN(seen, n), names)
        assert.deepStrictEqual(yield* next(1), ["welcome 4"])
        yield* append(key, [update(3), update(4)])
        yield* append(elsewhere, document(2))
        yield* Queue.offerAll(wakeups, [[elsewhere], [key, elsewhere], [key], "all"])
        assert.deepStrictEqual(yield* next(2), ["welcome 5", "welcome 6"])
        yield* append(another, document(600))
        yield* append(key, [update(5)])
        yield* Queue.offer(wakeups, "all")
        const found = yield* next(602)
        assert.deepStrictEqual(
          found.filter((name) => name !== "welcome 7"),
          Array.from({ length: 601 }, (_, i) => `another ${i + 1}`)
        )
        yield* suspend(libraryId)
        yield* evict({ libraryId })
        yield* Queue.offer(wakeups, [{ libraryId, streamId: "@library" }, another, key])
        assert.sameMembers(yield* next(3), ["@library 1", "another 602", "welcome 8"])
        assert.strictEqual(yield* Queue.size(seen), 0)
        yield* Fiber.interrupt(following)
      })
      yield* watched.pipe(Effect.provideService(Signals, signals), Effect.provideContext(log))
    })
  )
})
