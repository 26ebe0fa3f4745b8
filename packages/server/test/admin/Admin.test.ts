/** Eviction and inspection on a log without a server: over several pages, interrupted, and while another process writes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { evict } from "../../src/admin/Eviction.ts"
import { showDocument, showLibrary } from "../../src/admin/Inspect.ts"
import { blake2b256 } from "../../src/domain/Blake2b.ts"
import { DocumentId, LibraryId, PublicKey, SnapshotId } from "../../src/domain/Ids.ts"
import { place } from "../../src/domain/Stream.ts"
import { type DocumentEvent, toNewEvent } from "../../src/domain/secsync/Events.ts"
import { nextProof } from "../../src/domain/secsync/Proofs.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { listLibraries } from "../../src/ports/listLibraries.ts"
import { Signals } from "../../src/ports/Signals.ts"

const libraryId = LibraryId.make("notes")
const pubKey = PublicKey.make("k".repeat(43))
const payload = new Uint8Array(100)

/** Appends an event with a payload of 100 bytes, without deciding it. */
const store = Effect.fnUntraced(function* (library: LibraryId, streamId: string, data: DocumentEvent) {
  const log = yield* EventLog
  const key = { libraryId: library, streamId }
  const { head } = yield* log.tail(key)
  const event = place(key, head, toNewEvent(data, blake2b256(payload)), "test", 1000 + head.version)
  const [appended] = yield* log.append([{ key, expectedVersion: head.version, events: [{ event, payload }] }])
  assert.strictEqual(appended?._tag, "Committed")
})

const snapshot = (snapshotId: string): DocumentEvent => ({
  _tag: "SnapshotStored",
  snapshotId: SnapshotId.make(snapshotId),
  ciphertextHash: blake2b256(snapshotId),
  parentSnapshotProof: nextProof(undefined),
  parentSnapshotId: "",
  parentSnapshotUpdateClocks: {},
  pubKey
})
const update = (clock: number): DocumentEvent => ({
  _tag: "UpdateStored",
  refSnapshotId: SnapshotId.make("first"),
  pubKey,
  clock
})

/** The log, with one action run once, after a document is read and before its eviction is appended. */
const interposed = <E>(act: Effect.Effect<unknown, E, EventLog>) =>
  Layer.effect(
    EventLog,
    Effect.gen(function* () {
      const log = yield* EventLog
      const once = yield* Effect.cached(Effect.orDie(Effect.provideService(act, EventLog, log)))
      return EventLog.of({ ...log, append: (batch) => Effect.andThen(once, log.append(batch)) })
    })
  )

describe("evict", () => {
  it.effect("evicts each document of a library of several pages once, and returns the payloads that it freed", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 450 }, (_, i) => `document-${String(i).padStart(3, "0")}`)
      yield* Effect.forEach(names, (name) => store(libraryId, name, snapshot("first")))
      yield* store(LibraryId.make("other"), "document-000", snapshot("first"))
      const planned = yield* evict({ libraryId, dryRun: true })
      assert.strictEqual((yield* showLibrary(libraryId))?.payloadBytes, 45_000)
      const evicted = yield* evict({ libraryId })
      assert.deepStrictEqual(evicted, planned)
      assert.deepStrictEqual(
        evicted,
        names.map((documentId) => ({ documentId, events: 1, payloadBytes: 100, files: 0, fileBytes: 0 }))
      )
      assert.deepInclude(yield* showLibrary(libraryId), { documents: 450, evictedDocuments: 450, payloadBytes: 0 })
      assert.deepInclude(yield* showLibrary(LibraryId.make("other")), { evictedDocuments: 0, payloadBytes: 100 })
      assert.deepStrictEqual(yield* evict({ libraryId }), [])
    }).pipe(Effect.provide([layerMemory, Signals.layerNone]))
  )

  it.effect("resumes after an interruption, and evicts only the remaining documents", () =>
    Effect.gen(function* () {
      yield* store(libraryId, "one", snapshot("first"))
      yield* store(libraryId, "two", snapshot("first"))
      yield* evict({ libraryId, documentId: DocumentId.make("one") })
      const rest = yield* evict({ libraryId })
      assert.deepStrictEqual(
        rest.map(({ documentId }) => documentId),
        ["two"]
      )
      assert.strictEqual((yield* showDocument(libraryId, DocumentId.make("one")))?.version, 2)
    }).pipe(Effect.provide([layerMemory, Signals.layerNone]))
  )

  it.effect("evicts an update that another process writes while it decides", () =>
    Effect.gen(function* () {
      yield* store(libraryId, "one", snapshot("first"))
      const writes = store(libraryId, "one", update(0))
      yield* Effect.provide(evict({ libraryId }), interposed(writes))
      const shown = yield* showDocument(libraryId, DocumentId.make("one"))
      assert.deepInclude(shown ?? {}, { version: 3, generation: 1, payloads: 0, evictedSnapshotId: "first" })
      const { events } = yield* (yield* EventLog).tail({ libraryId, streamId: "one" })
      assert.strictEqual(events[0]?.event.origin, "sync-admin evict")
      assert.deepInclude(events[0]?.event.data ?? {}, { clocks: { [pubKey]: 0 } })
    }).pipe(Effect.provide([layerMemory, Signals.layerNone]))
  )

  it.effect("leaves the server's own streams alone", () =>
    Effect.gen(function* () {
      yield* store(libraryId, "@library", snapshot("first"))
      yield* store(libraryId, "one", snapshot("first"))
      assert.strictEqual((yield* evict({ libraryId })).length, 1)
      assert.deepInclude(yield* showLibrary(libraryId), { documents: 1, evictedDocuments: 1, payloadBytes: 100 })
    }).pipe(Effect.provide([layerMemory, Signals.layerNone]))
  )
})

describe("inspection", () => {
  it.effect(
    "lists libraries over several pages, and returns undefined for a library or document that does not exist",
    () =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 501 }, (_, i) => LibraryId.make(`library-${String(i).padStart(3, "0")}`))
        yield* Effect.forEach(ids, (id) => store(id, "one", snapshot("first")))
        assert.deepStrictEqual(
          (yield* listLibraries()).map(({ libraryId }) => libraryId),
          ids
        )
        assert.isUndefined(yield* showLibrary(libraryId))
        assert.isUndefined(yield* showDocument(ids[0]!, DocumentId.make("two")))
      }).pipe(Effect.provide([layerMemory, Signals.layerNone]))
  )

  it.effect("shows a document's authors and clocks, and the times of a library's first and last event", () =>
    Effect.gen(function* () {
      yield* store(libraryId, "one", snapshot("first"))
      yield* store(libraryId, "one", update(0))
      yield* store(libraryId, "one", update(1))
      yield* store(libraryId, "two", snapshot("first"))
      const shown = yield* showDocument(libraryId, DocumentId.make("one"))
      assert.deepInclude(shown ?? {}, {
        version: 3,
        generation: 0,
        updates: 2,
        activeSnapshotId: "first",
        payloadBytes: 300
      })
      assert.deepStrictEqual(shown?.clocks, { [pubKey]: 1 })
      assert.deepStrictEqual(yield* showLibrary(libraryId), {
        libraryId,
        documents: 2,
        evictedDocuments: 0,
        events: 4,
        payloads: 4,
        payloadBytes: 400,
        createdAt: 1000,
        updatedAt: 1002
      })
    }).pipe(Effect.provide([layerMemory, Signals.layerNone]))
  )
})
