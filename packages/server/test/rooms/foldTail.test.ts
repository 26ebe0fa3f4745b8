/** Reading a stream from where its newest checkpoint says, while others write to it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { isReadonlyArrayNonEmpty } from "effect/Array"
import * as MemoryEventLog from "../../src/adapters/MemoryEventLog.ts"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { LibraryId } from "../../src/domain/Ids.ts"
import { advance, CHECKPOINT_ENDED, emptyHead, type NewEvent, PRUNED, place } from "../../src/domain/Stream.ts"
import { TURN_MILLIS } from "../../src/internal/nextTurn.ts"
import { EventLog, type PlacedEvent } from "../../src/ports/EventLog.ts"
import { foldTail } from "../../src/rooms/foldTail.ts"

const key = { libraryId: LibraryId.make("notes"), streamId: "@verdant" }

const stored = (text: string): readonly [NewEvent, string] => [
  { type: "Stored", data: {}, payloadHash: blake2b256(Buffer.from(text)), checkpoint: false },
  text
]
const ended = (of: number): readonly [NewEvent, null] => [
  { type: CHECKPOINT_ENDED, data: { of }, payloadHash: "", checkpoint: true },
  null
]
const pruned = (before: number): readonly [NewEvent, null] => [
  { type: PRUNED, data: { before }, payloadHash: "", checkpoint: false },
  null
]

const makeStream = Effect.gen(function* () {
  const log = Context.get(yield* Layer.build(MemoryEventLog.layerMemory), EventLog)
  let head = emptyHead
  const append = (events: ReadonlyArray<readonly [NewEvent, string | null]>, purgeBefore = 0) => {
    const { version: expectedVersion } = head
    const placed = events.map(([event, text]): PlacedEvent => {
      const next = place(key, head, event, "test", 0)
      head = advance(head, next)
      return { event: next, payload: text === null ? null : Buffer.from(text) }
    })
    return isReadonlyArrayNonEmpty(placed)
      ? log.append([{ key, expectedVersion, events: placed, purgeBefore }])
      : Effect.die("nothing to append")
  }
  return { log, append, head: () => head }
})

const read = (log: EventLog["Service"]) =>
  foldTail(
    log,
    key,
    () => "",
    (before, { event, payload }) => `${before} ${event.version}${payload === null ? "" : `:${Buffer.from(payload)}`}`
  )

describe("a stream's tail", () => {
  it.effect("begins where the newest checkpoint says, and ends with the head", () =>
    Effect.gen(function* () {
      const { append, head, log } = yield* makeStream
      assert.deepStrictEqual(yield* read(log), { head: emptyHead, value: "" })
      yield* append([stored("a"), stored("b"), stored("c")])
      assert.deepStrictEqual(yield* read(log), { head: head(), value: " 1:a 2:b 3:c" })
      yield* append([ended(2), stored("d")])
      assert.deepStrictEqual(yield* read(log), { head: head(), value: " 2:b 3:c 4 5:d" })
    })
  )

  it.effect("is read again if a newer checkpoint had its payloads purged in between", () =>
    Effect.gen(function* () {
      const { append, head, log } = yield* makeStream
      yield* append([stored("a"), stored("b"), ended(2)])
      let isFirst = true
      const raced: EventLog["Service"] = {
        ...log,
        read: (key, options) =>
          Effect.suspend(() => {
            if (!isFirst || options.payloads === false) return log.read(key, options)
            isFirst = false
            const purging = append([stored("c"), ended(4), pruned(4)], 4)
            return Effect.andThen(purging, log.read(key, options))
          })
      }
      assert.deepStrictEqual(yield* read(raced), { head: head(), value: " 4:c 5 6" })
    })
  )

  it.live("lets other work go on while an event is prepared, which comes before it is applied", () =>
    Effect.gen(function* () {
      const { append, log } = yield* makeStream
      yield* append([stored("a"), stored("b"), stored("c")])
      let [turns, isReading] = [0, true]
      const turn = (): void => {
        turns += 1
        if (isReading) setImmediate(turn)
      }
      setImmediate(turn)
      const STEPS = 10
      const done: Array<string> = []
      const prepare = function* (version: number) {
        for (let step = 0; step < STEPS; step++) {
          const begun = performance.now()
          while (performance.now() - begun < TURN_MILLIS);
          yield
        }
        done.push(`prepared ${version}`)
      }
      yield* foldTail(
        log,
        key,
        () => undefined,
        (_, { event }) => void done.push(`applied ${event.version}`),
        (_, { event }) => (event.version === 2 ? { length: 0, steps: () => prepare(event.version) } : undefined)
      )
      isReading = false
      assert.isAtLeast(turns, STEPS)
      assert.deepStrictEqual(done, ["applied 1", "prepared 2", "applied 2", "applied 3"])
    })
  )

  it.effect("is read in full if it is longer than a page", () =>
    Effect.gen(function* () {
      const { append, head, log } = yield* makeStream
      const texts = Array.from({ length: 1200 }, (_, i) => `${i}`)
      yield* append(texts.map(stored))
      const { head: end, value } = yield* read(log)
      assert.deepStrictEqual(end, head())
      assert.strictEqual(value, texts.map((text, i) => ` ${i + 1}:${text}`).join(""))
    })
  )
})
