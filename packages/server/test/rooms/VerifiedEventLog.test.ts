/** Reads of a log whose data has changed since it was written. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer } from "effect"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { LibraryId } from "../../src/domain/Ids.ts"
import { advance, emptyHead, type NewEvent, place, type StreamKey } from "../../src/domain/Stream.ts"
import { EventLog, LogDamaged, type PlacedEvent } from "../../src/ports/EventLog.ts"
import { Damage } from "../../src/rooms/Damage.ts"
import { foldTail } from "../../src/rooms/foldTail.ts"
import * as VerifiedEventLog from "../../src/rooms/VerifiedEventLog.ts"

const key: StreamKey = { libraryId: LibraryId.make("notes"), streamId: "welcome" }
const payloadOf = (version: number) => Buffer.from(`payload ${version}`)

/** Six events, of which the third is the newest checkpoint. */
const events = (): ReadonlyArray<PlacedEvent> => {
  let head = emptyHead
  return [1, 2, 3, 4, 5, 6].map((version) => {
    const payload = payloadOf(version)
    const event: NewEvent = {
      type: "UpdateStored",
      data: { clock: version },
      payloadHash: blake2b256(payload),
      checkpoint: version === 3
    }
    const placed = place(key, head, event, "somebody", 0)
    head = advance(head, placed)
    return { event: placed, payload }
  })
}

type Change = (placed: PlacedEvent) => PlacedEvent | undefined

/** A log of which every read returns events as `change` makes them; undefined: the event is gone. */
const openChanged = Effect.fnUntraced(function* (change: Change) {
  const { log } = yield* makeTroubledLog
  const [first, ...rest] = events()
  yield* log.append([{ key, expectedVersion: 0, events: [first!, ...rest] }])
  const all = (found: ReadonlyArray<PlacedEvent>) => found.flatMap((placed) => change(placed) ?? [])
  const changed = EventLog.of({
    ...log,
    read: (key, options) => Effect.map(log.read(key, options), all),
    tail: (key, options) => Effect.map(log.tail(key, options), (tail) => ({ ...tail, events: all(tail.events) }))
  })
  const services = yield* Layer.build(
    VerifiedEventLog.layer.pipe(Layer.provideMerge(Damage.layer), Layer.provide(Layer.succeed(EventLog, changed)))
  )
  return { log: Context.get(services, EventLog), damage: Context.get(services, Damage) }
})

const at =
  (version: number, change: Change): Change =>
  (placed) =>
    placed.event.version === version ? change(placed) : placed

/** The version of the damage that a call dies of; undefined if it succeeds. */
const damageOf = Effect.fnUntraced(function* (call: Effect.Effect<unknown, unknown>) {
  const exit = yield* Effect.exit(call)
  if (Exit.isSuccess(exit)) return undefined
  const defect = Cause.squash(exit.cause)
  assert.instanceOf(defect, LogDamaged)
  return (defect as LogDamaged).version
})

const fold = (log: EventLog["Service"]) =>
  foldTail(
    log,
    key,
    () => 0,
    (sum) => sum + 1
  )

describe("a log that is as it was written", () => {
  it.effect("is read", () =>
    Effect.gen(function* () {
      const { damage, log } = yield* openChanged((placed) => placed)
      assert.lengthOf(yield* log.read(key, { after: 0 }), 6)
      assert.lengthOf((yield* log.tail(key)).events, 4)
      assert.strictEqual((yield* fold(log)).value, 4)
      assert.strictEqual(damage.places(), 0)
    })
  )
})

for (const [what, change, expected] of [
  ["a payload that was changed", at(5, ({ event }) => ({ event, payload: Buffer.from("other") })), [5, 5, 5]],
  [
    "an event that was changed",
    at(5, ({ event, payload }) => ({ event: { ...event, data: { clock: 9 } }, payload })),
    [5, 5, 5]
  ],
  [
    "a checkpoint that was changed",
    at(3, ({ event, payload }) => ({ event: { ...event, data: { clock: 9 } }, payload })),
    [3, 3, 3]
  ],
  ["an event that is gone", at(5, () => undefined), [6, 6, 6]],
  ["a last event that is gone", at(6, () => undefined), [undefined, undefined, 6]]
] as const) {
  describe(what, () => {
    it.effect("ends reads, tails and the opening of a room, and its place is known", () =>
      Effect.gen(function* () {
        const { damage, log } = yield* openChanged(change)
        const found = [
          yield* damageOf(log.read(key, { after: 0 })),
          yield* damageOf(log.tail(key)),
          yield* damageOf(fold(log))
        ]
        assert.deepStrictEqual(found, [...expected])
        assert.strictEqual(damage.places(), expected[0] === undefined ? 0 : 1)
      })
    )
  })
}

it.effect("a payload that is missing ends a tail, unless an event of the tail has purged it", () =>
  Effect.gen(function* () {
    const { log } = yield* openChanged(at(4, ({ event }) => ({ event, payload: null })))
    assert.strictEqual(yield* damageOf(log.tail(key)), 4)
    assert.strictEqual(yield* damageOf(log.read(key, { after: 0 })), undefined)
    assert.strictEqual(yield* damageOf(log.tail(key, { payloads: false })), undefined)
  })
)
