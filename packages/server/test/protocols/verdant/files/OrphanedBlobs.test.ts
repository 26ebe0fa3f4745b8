/** The sweep of blobs to which no file refers. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { layerFilesInMemory } from "#test-support/servers/FileServer"
import { layerMemory } from "../../../../src/adapters/MemoryBlobStore.ts"
import { FileId, LibraryId } from "../../../../src/domain/Ids.ts"
import { type BlobKey, BlobStore } from "../../../../src/ports/BlobStore.ts"
import { newBlobKey } from "../../../../src/protocols/verdant/files/BlobKeys.ts"
import { VerdantFiles } from "../../../../src/protocols/verdant/files/FileCatalog.ts"
import { sweepOrphanedBlobs } from "../../../../src/protocols/verdant/files/OrphanedBlobs.ts"

const store = Effect.fnUntraced(function* (libraryId: LibraryId, fileId: FileId) {
  const blob = newBlobKey(libraryId, fileId)
  return { blob, ...(yield* (yield* BlobStore).put(blob, Stream.make(new Uint8Array(10)), 10)) }
})

const record = Effect.fnUntraced(function* (libraryId: LibraryId, name: string) {
  const fileId = FileId.make(name)
  const stored = yield* store(libraryId, fileId)
  yield* (yield* VerdantFiles).record(libraryId, { fileId, name, type: "text/plain", userId: "ada", ...stored })
  return stored.blob
})

layer(Layer.merge(layerMemory, layerFilesInMemory))("a sweep", (it) => {
  it.effect("deletes blobs to which no file refers once they are a day old, and nothing else", () =>
    Effect.gen(function* () {
      const [ada, grace, gone] = ["ada", "grace", "gone"].map((id) => LibraryId.make(id)) as [
        LibraryId,
        LibraryId,
        LibraryId
      ]
      const live: Array<BlobKey> = [yield* record(ada, "a"), yield* record(grace, "a"), yield* record(grace, "b")]
      yield* record(ada, "replaced")
      live.push(yield* record(ada, "replaced"))
      for (const libraryId of [ada, grace, gone]) yield* store(libraryId, FileId.make("cutoff"))
      const left = Effect.gen(function* () {
        return new Set(Array.from(yield* Stream.runCollect((yield* BlobStore).list), ({ key }) => key))
      })
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* sweepOrphanedBlobs([ada, grace]), { blobs: 0, bytes: 0 })
      live.push((yield* store(ada, FileId.make("underway"))).blob)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* sweepOrphanedBlobs([ada, grace]), { blobs: 4, bytes: 40 })
      assert.deepStrictEqual(yield* left, new Set(live))
      assert.deepStrictEqual(yield* sweepOrphanedBlobs([ada, grace]), { blobs: 0, bytes: 0 })
    })
  )

  it.effect("goes on with the next library when one cannot be read", () =>
    Effect.gen(function* () {
      const [broken, intact] = ["broken", "intact"].map((id) => LibraryId.make(id)) as [LibraryId, LibraryId]
      const kept = yield* store(broken, FileId.make("f"))
      const orphan = yield* store(intact, FileId.make("f"))
      yield* TestClock.adjust("25 hours")
      const files = yield* VerdantFiles
      const failing = VerdantFiles.of({
        ...files,
        blobs: (libraryId) => (libraryId === broken ? Effect.die(new Error("made to fail")) : files.blobs(libraryId))
      })
      yield* sweepOrphanedBlobs([broken, intact]).pipe(Effect.provideService(VerdantFiles, failing))
      const left = Array.from(yield* Stream.runCollect((yield* BlobStore).list), ({ key }) => key)
      assert.include(left, kept.blob)
      assert.notInclude(left, orphan.blob)
    })
  )
})
