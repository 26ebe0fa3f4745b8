/** The rules of files: who may upload, replace and read them. */
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "../../../src/domain/Blake2b.ts"
import { FileId } from "../../../src/domain/Ids.ts"
import { fold } from "../../../src/domain/verdant/Evolve.ts"
import { IMPORTER, mayRead } from "../../../src/domain/verdant/Files.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import { ReplicaProgress } from "../../../src/protocols/verdant/ReplicaProgress.ts"
import { author, given, NOW, operation, stamp, sync } from "./decisions.ts"

const fileId = FileId.make("f1")

const store = (userId: string, blob = userId) => ({
  _tag: "StoreFile" as const,
  file: { fileId, name: "x", type: "text/plain", size: 1, hash: blake2b256("x"), blob, userId }
})

/** An operation that refers to the file. */
const naming = (n: number, owner: string | null, oid: string) =>
  operation(n, { oid, owner, data: { op: "initialize", value: { image: { "@@type": "file", id: fileId } } } })

const writeAs = (userId: string, n: number, ...operations: ReadonlyArray<ReturnType<typeof operation>>) =>
  sync(userId, n, { userId, operations })

/** Merges all operations into baselines. */
const compactAll = (library: ReturnType<typeof given>) => {
  const progress = new ReplicaProgress()
  for (const replica of library.state().replicas.values()) {
    progress.promise(replica.id, stamp(9), NOW)
    progress.receive(library.state(), replica, library.state().version)
  }
  progress.ripen()
  progress.ripen()
  const known = { known: progress.snapshot() }
  library.when({ _tag: "AdvanceCursors" }, known)
  library.when({ _tag: "Compact" }, known)
  assert.strictEqual(library.state().operations, 0)
}

const readers = (state: LibraryState) =>
  ["ada", "grace", "eve"].filter((userId) => mayRead(state, state.files.get(fileId)!, userId))

describe("a file", () => {
  it("is replaced by its uploader alone", () => {
    const library = given(store("ada"))
    assert.deepStrictEqual(library.when(store("eve")), { refused: "AnothersFile" })
    assert.strictEqual(library.state().files.get(fileId)?.userId, "ada")
    library.when(store("ada", "again"))
    assert.strictEqual(library.state().files.get(fileId)?.blob, "again")
  })

  it("that was copied from another server belongs to nobody: every user may replace and read it", () => {
    const library = given(store(IMPORTER))
    assert.deepStrictEqual(readers(library.state()), ["ada", "grace", "eve"])
    library.when(store("ada"))
    assert.strictEqual(library.state().files.get(fileId)?.userId, "ada")
  })

  it("is its uploader's after evictions too, however the library was read since", () => {
    const library = given(store("ada"), writeAs("ada", 1, operation(0)), { _tag: "EvictLibrary" })
    assert.deepStrictEqual(library.when(store("eve")), { refused: "AnothersFile" })
    library.when(writeAs("ada", 2, operation(1)))
    library.when({ _tag: "EvictLibrary" })
    library.when(writeAs("ada", 3, operation(2)))
    compactAll(library)
    assert.deepStrictEqual(library.when(store("eve")), { refused: "AnothersFile" })
    const tail = fold(library.stored().filter(({ event }) => event.version >= library.state().checkpoint))
    assert.deepStrictEqual([...tail.formerFiles], [[fileId, "ada"]])
    library.when(store("ada"))
    assert.strictEqual(library.state().files.get(fileId)?.userId, "ada")
    assert.strictEqual(library.state().formerFiles.size, 0)
  })

  it("is any user's after an eviction if it was copied from another server", () => {
    const library = given(store(IMPORTER), { _tag: "EvictLibrary" }, store("grace"))
    assert.strictEqual(library.state().files.get(fileId)?.userId, "grace")
  })

  it("is its uploader's after a sweep deleted it, also after an eviction, and however the library was read since", () => {
    const library = given(store("ada"), writeAs("ada", 1, operation(0)))
    for (let i = 0; i < 2; i++) library.when({ _tag: "SweepFiles", keep: -1 })
    assert.strictEqual(library.state().files.size, 0)
    assert.deepStrictEqual(library.when(store("eve")), { refused: "AnothersFile" })
    compactAll(library)
    const tail = fold(library.stored().filter(({ event }) => event.version >= library.state().checkpoint))
    assert.deepStrictEqual([...tail.formerFiles], [[fileId, "ada"]])
    library.when({ _tag: "EvictLibrary" })
    assert.deepStrictEqual(library.when(store("eve")), { refused: "AnothersFile" })
    library.when(store("ada"))
    assert.strictEqual(library.state().formerFiles.size, 0)
  })

  it("is any user's after a sweep deleted it if it was copied from another server", () => {
    const library = given(store(IMPORTER))
    for (let i = 0; i < 2; i++) library.when({ _tag: "SweepFiles", keep: -1 })
    library.when(store("grace"))
    assert.strictEqual(library.state().files.get(fileId)?.userId, "grace")
  })

  it("that nothing refers to is read by its uploader alone", () => {
    assert.deepStrictEqual(readers(given(store("ada")).state()), ["ada"])
  })

  it("is read by the users who see a reference of its uploader, whether the reference or the upload came first", () => {
    const brings = writeAs("ada", 1, naming(0, null, "notes/a"))
    assert.deepStrictEqual(readers(given(store("ada"), brings).state()), ["ada", "grace", "eve"])
    assert.deepStrictEqual(readers(given(brings, store("ada")).state()), ["ada", "grace", "eve"])
    assert.deepStrictEqual(readers(given(store("ada"), writeAs("ada", 1, naming(0, "ada", "notes/a"))).state()), [
      "ada"
    ])
  })

  it("is not read by a user who names it without being able to read it", () => {
    for (const owner of ["eve", null]) {
      const brings = writeAs("eve", 1, naming(0, owner, "notes/a"))
      assert.deepStrictEqual(readers(given(store("ada"), brings).state()), ["ada"])
      assert.deepStrictEqual(readers(given(brings, store("ada")).state()), ["ada"])
    }
  })

  it("is read through the references of a user who could read it, also once the uploader's is gone", () => {
    const library = given(store("ada"), writeAs("ada", 1, naming(0, null, "notes/a")))
    library.when(sync("grace", 2, { userId: "grace" }))
    const write = (userId: string, operation: ReturnType<typeof naming>) =>
      library.when({ ...author(userId, userId), _tag: "StoreOperations", operations: [operation] })
    write("grace", naming(3, "grace", "notes/b"))
    write("ada", operation(4, { oid: "notes/a", data: { op: "delete" } }))
    compactAll(library)
    assert.deepStrictEqual(readers(library.state()), ["ada", "grace"])
    write("grace", naming(20, null, "notes/c"))
    assert.deepStrictEqual(readers(library.state()), ["ada", "grace", "eve"])
  })

  it("is read as before in a library that a client restored, after another upload", () => {
    const library = given(store("ada"), writeAs("ada", 1, naming(0, null, "notes/a")), { _tag: "EvictLibrary" })
    library.when(writeAs("grace", 2, naming(0, null, "notes/a")))
    library.when(store("ada"))
    assert.deepStrictEqual(readers(library.state()), ["ada", "grace", "eve"])
  })

  it("that only a user's own documents refer to stays private over a compaction and a restart", () => {
    const library = given(store("ada"), writeAs("eve", 1, naming(0, "eve", "notes/a"), naming(1, null, "notes/b")))
    compactAll(library)
    const { baselines, checkpoint } = library.state()
    assert.deepStrictEqual([baselines, readers(library.state())], [2, ["ada"]])
    const tail = fold(library.stored().filter(({ event }) => event.version >= checkpoint))
    assert.deepStrictEqual(readers(tail), ["ada"])
  })
})
