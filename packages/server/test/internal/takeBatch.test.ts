/** Batches are bounded by their items and bytes. */
import { assert, describe, it } from "@effect/vitest"
import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, type NewEvent, place, type StreamKey } from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/ports/EventLog"
import { Committer } from "@sealog/server/rooms/Committer"
import { Array, Effect, Exit, Layer } from "effect"
import fc from "fast-check"
import { takeBatch } from "../../src/internal/takeBatch.ts"

describe("takeBatch", () => {
  it("takes every item in order, as many at once as the limits allow and at least one", () => {
    const limits = { count: 4, bytes: 10 }
    fc.assert(
      fc.property(fc.array(fc.nat(15)), (sizes) => {
        const queue = [...sizes]
        const batches: Array<ReadonlyArray<number>> = []
        while (queue.length > 0) batches.push(takeBatch(queue, limits, (size) => size))
        assert.deepStrictEqual(batches.flat(), sizes)
        const sum = (batch: ReadonlyArray<number>) => batch.reduce((a, b) => a + b, 0)
        for (const [i, batch] of batches.entries()) {
          assert.isTrue(batch.length === 1 || (batch.length <= limits.count && sum(batch) <= limits.bytes))
          const next = batches[i + 1]?.[0]
          if (next !== undefined) assert.isTrue(batch.length === limits.count || sum(batch) + next > limits.bytes)
        }
      })
    )
  })
})

const MIB = 1024 * 1024
const payload = new Uint8Array(10 * MIB)
const update: NewEvent = { type: "UpdateStored", data: {}, payloadHash: "", checkpoint: false }

const appendOf = (number: number): Append => {
  const key: StreamKey = { libraryId: LibraryId.make("notes"), streamId: `document-${number}` }
  return { key, expectedVersion: 0, events: [{ event: place(key, emptyHead, update, "test", 0), payload }] }
}

describe("Committer", () => {
  it.effect("begins no further append once a transaction holds 32 MiB", () => {
    const sizes: Array<number> = []
    const layerRecording = Layer.effect(
      EventLog,
      Effect.map(EventLog, (log) =>
        EventLog.of({
          ...log,
          append: (batch) => {
            sizes.push(batch.length)
            return log.append(batch)
          }
        })
      )
    ).pipe(Layer.provide(layerMemory))
    return Effect.gen(function* () {
      const committer = yield* Committer
      const appends = Array.makeBy(8, appendOf)
      const exits = yield* Effect.forEach(
        appends,
        (append) =>
          Effect.callback<Exit.Exit<unknown, unknown>>((resume) =>
            committer.submit(
              () => append,
              (exit) => resume(Effect.succeed(exit))
            )
          ),
        { concurrency: "unbounded" }
      )
      assert.isTrue(exits.every(Exit.isSuccess))
      assert.deepStrictEqual(sizes, [4, 4])
    }).pipe(Effect.provide(Committer.layer.pipe(Layer.provide(layerRecording))))
  })
})
