/** The files that evictions took from a library, and the deletion of their blobs. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { layerMemory as layerMemoryBlobs } from "../../../../src/adapters/MemoryBlobStore.ts"
import { layerMemory } from "../../../../src/adapters/MemoryEventLog.ts"
import { FileId, LibraryId } from "../../../../src/domain/Ids.ts"
import { emptyHead, place, type StreamHead } from "../../../../src/domain/Stream.ts"
import { type LibraryEvent, toNewEvent, VERDANT } from "../../../../src/domain/verdant/Events.ts"
import { type BlobKey, BlobStore } from "../../../../src/ports/BlobStore.ts"
import { EventLog } from "../../../../src/ports/EventLog.ts"
import { newBlobKey } from "../../../../src/protocols/verdant/files/BlobKeys.ts"
import { deleteEvictedFiles, filesOfGenerations } from "../../../../src/protocols/verdant/files/EvictedFiles.ts"

const library = LibraryId.make("notes")
const BYTES = new Uint8Array(10)

const store = Effect.fnUntraced(function* (name: string, libraryId = library) {
  const blob = newBlobKey(libraryId, FileId.make(name))
  return { blob, ...(yield* (yield* BlobStore).put(blob, Stream.make(BYTES), 10)) }
})

const storedAs = (name: string, stored: Effect.Success<ReturnType<typeof store>>): LibraryEvent => ({
  ...{ _tag: "FileStored", fileId: FileId.make(name), name, type: "text/plain", userId: "ada" },
  ...stored
})

const appendAll = Effect.fnUntraced(function* (events: ReadonlyArray<LibraryEvent>) {
  const key = { libraryId: library, streamId: VERDANT }
  const log = yield* EventLog
  let head: StreamHead = emptyHead
  for (const event of events) {
    const placed = place(key, head, toNewEvent(event, ""), "test", 0)
    yield* log.append([{ key, expectedVersion: head.version, events: [{ event: placed, payload: null }] }])
    head = (yield* log.heads([key]))[0]!
  }
})

const left = Effect.gen(function* () {
  return Array.from(yield* Stream.runCollect((yield* BlobStore).list), ({ key }) => key)
})

layer(Layer.merge(layerMemory, layerMemoryBlobs))("evicted files", (it) => {
  it.effect("are those the library had at each eviction, never its present files or another library's", () =>
    Effect.gen(function* () {
      const [first, second, again, swept] = [
        yield* store("a"),
        yield* store("b"),
        yield* store("a"),
        yield* store("swept")
      ]
      const [underway, anothers] = [yield* store("a"), yield* store("c", LibraryId.make("another"))]
      yield* appendAll([
        storedAs("a", first),
        storedAs("swept", swept),
        { _tag: "FilesSwept", orphaned: [], revived: [], deleted: [FileId.make("swept")] },
        { _tag: "Evicted" },
        storedAs("b", second),
        storedAs("stolen", anothers),
        storedAs("nowhere", { ...second, blob: "../../elsewhere" as BlobKey }),
        { _tag: "Evicted" },
        storedAs("a", again)
      ])
      const files = yield* filesOfGenerations(library)
      const blobsOf = (files: ReadonlyArray<{ readonly blob: BlobKey }>) => files.map(({ blob }) => blob)
      assert.deepStrictEqual(files.evicted.map(blobsOf), [[first.blob], [second.blob]])
      assert.deepStrictEqual(blobsOf(files.live), [again.blob])
      yield* deleteEvictedFiles(files)
      const kept = [again, swept, underway, anothers].map(({ blob }) => blob)
      assert.sameMembers(yield* left, kept)
      yield* deleteEvictedFiles(files)
      // A blob that is both live and evicted stays. No upload makes one, because every upload gets a new key.
      yield* deleteEvictedFiles({ live: files.live, evicted: [files.live] })
      assert.sameMembers(yield* left, kept)
    })
  )
})
