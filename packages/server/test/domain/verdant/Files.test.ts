/** The rules of files: who may replace and read them. */
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

  it("may be uploaded by any user once an eviction has deleted it", () => {
    const library = given(store("ada"), { _tag: "EvictLibrary" }, store("grace"))
    assert.strictEqual(library.state().files.get(fileId)?.userId, "grace")
  })

  it("that nothing refers to is read by its uploader alone", () => {
    assert.deepStrictEqual(readers(given(store("ada")).state()), ["ada"])
  })

  it("is read by the users who see a reference to it, whether the reference or the upload came first", () => {
    for (const [owner, expected] of [
      ["grace", ["ada", "grace"]],
      [null, ["ada", "grace", "eve"]]
    ] as const) {
      const brings = writeAs("grace", 1, naming(0, owner, "notes/a"))
      assert.deepStrictEqual(readers(given(store("ada"), brings).state()), [...expected])
      assert.deepStrictEqual(readers(given(brings, store("ada")).state()), [...expected])
    }
    const library = given(store("ada"), writeAs("grace", 1, naming(0, "grace", "notes/a")))
    library.when({ ...author("grace", "grace"), _tag: "StoreOperations", operations: [naming(2, null, "notes/b")] })
    assert.deepStrictEqual(readers(library.state()), ["ada", "grace", "eve"])
  })

  it("that only a user's own documents refer to stays private over a compaction and a restart", () => {
    const library = given(store("ada"), writeAs("grace", 1, naming(0, "grace", "notes/a")))
    const { replicas } = library.state()
    const progress = new ReplicaProgress()
    for (const { id } of replicas.values()) progress.promise(id, stamp(9), NOW)
    progress.ripen()
    progress.ripen()
    const known = { known: progress.snapshot() }
    library.when({ _tag: "AdvanceCursors" }, known)
    library.when({ _tag: "Compact" }, known)
    const { baselines, checkpoint } = library.state()
    assert.deepStrictEqual([baselines, readers(library.state())], [1, ["ada", "grace"]])
    const tail = fold(library.stored().filter(({ event }) => event.version >= checkpoint))
    assert.deepStrictEqual(readers(tail), ["ada", "grace"])
  })
})
