/** Deleting for good: by streams, also those that cannot be read, and those that a client makes in between. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { createDocument } from "../../src/admin/Creation.ts"
import { allowAgain, deleteForGood } from "../../src/admin/Deletion.ts"
import { evict } from "../../src/admin/Eviction.ts"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { DocumentId, LibraryId } from "../../src/domain/Ids.ts"
import { place } from "../../src/domain/Stream.ts"
import { VERDANT } from "../../src/domain/verdant/Events.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"

const libraryId = LibraryId.make("notes")
const [one, two] = [DocumentId.make("one"), DocumentId.make("two")]
const onMemory = Effect.provide(Layer.mergeAll(layerMemory, Signals.layerNone))

/** Appends an event that no protocol can read. */
const appendUnreadable = Effect.gen(function* () {
  const payload = Buffer.from("not JSON")
  const event = { type: "Unknown", data: {}, payloadHash: blake2b256(payload), checkpoint: false }
  const key = { libraryId, streamId: VERDANT }
  const placed = place(key, { version: 0, generation: 0, chain: "" }, event, "test", 1000)
  yield* (yield* EventLog).append([{ key, expectedVersion: 0, events: [{ event: placed, payload }] }])
})

const idsOf = (documents: ReadonlyArray<{ readonly documentId: string }>) =>
  documents.map(({ documentId }) => documentId)

describe("deleting for good", () => {
  it.effect(
    "takes every document of a library, readable or not, and those that are made until servers have heard",
    () =>
      Effect.gen(function* () {
        yield* createDocument(libraryId, one)
        yield* appendUnreadable
        assert.deepStrictEqual(idsOf(yield* deleteForGood({ libraryId }, { dryRun: true })), [VERDANT, one])
        const deleting = yield* Effect.forkChild(deleteForGood({ libraryId }), { startImmediately: true })
        yield* Effect.yieldNow
        yield* createDocument(libraryId, two)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(idsOf(yield* Fiber.join(deleting)), [VERDANT, one, two])
        assert.deepStrictEqual(yield* evict({ libraryId }), [])
        assert.strictEqual(yield* createDocument(libraryId, two), "deleted")
        assert.strictEqual(yield* allowAgain({ libraryId }), 3)
        assert.strictEqual(yield* createDocument(libraryId, two), "created")
      }).pipe(onMemory)
  )

  it.effect("deletes a document that does not exist, so that no client makes it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(idsOf(yield* deleteForGood({ libraryId, documentId: one })), [one])
      assert.deepStrictEqual(yield* deleteForGood({ libraryId, documentId: one }), [])
      assert.strictEqual(yield* createDocument(libraryId, one), "deleted")
      assert.strictEqual(yield* createDocument(libraryId, two), "created")
      assert.strictEqual(yield* allowAgain({ libraryId, documentId: one }), 1)
      assert.strictEqual(yield* allowAgain({ libraryId, documentId: one }), 0)
    }).pipe(onMemory)
  )
})
