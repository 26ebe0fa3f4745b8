import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Schema, Stream } from "effect"
import { layerFileSystem } from "../../src/adapters/FileSystemBlobStore.ts"
import { BlobKey, BlobStore } from "../../src/ports/BlobStore.ts"
import { blobStoreSuite } from "../../src/testing/BlobStoreSuite.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "sealog-blobs-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

blobStoreSuite(
  "file system",
  Layer.unwrap(Effect.map(temporaryDirectory, (directory) => layerFileSystem({ directory: join(directory, "files") })))
)

const key = BlobKey.make("group/name.bin")
const text = (value: string) => Stream.make(new TextEncoder().encode(value))

const open = Effect.fnUntraced(function* (directory: string) {
  return yield* Effect.provide(BlobStore, layerFileSystem({ directory }))
})

describe("files in a directory", () => {
  it.effect("are readable by the server's user alone, and stay after a restart", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "files")
      const first = yield* open(directory)
      yield* first.put(key, text("hello"), 100)
      const modes = yield* Effect.promise(async () =>
        Promise.all(
          [directory, join(directory, "group"), join(directory, key)].map(
            async (path) => (await stat(path)).mode & 0o777
          )
        )
      )
      assert.deepStrictEqual(modes, [0o700, 0o700, 0o600])
      assert.deepStrictEqual(yield* (yield* open(directory)).stat(key), { size: 5 })
    })
  )

  it.effect("leave nothing behind when an upload is cut off", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const blobs = yield* open(directory)
      const incoming = () => Effect.promise(() => readdir(join(directory, ".incoming")))
      const arrived = yield* Deferred.make<void>()
      const hanging = Stream.concat(
        text("half of it"),
        Stream.fromEffect(Effect.andThen(Deferred.succeed(arrived, undefined), Effect.never))
      )
      const uploading = yield* Effect.forkChild(blobs.put(key, hanging, 100))
      yield* Deferred.await(arrived)
      assert.strictEqual((yield* incoming()).length, 1)
      yield* Fiber.interrupt(uploading)
      assert.deepStrictEqual(yield* incoming(), [])
      yield* Effect.flip(blobs.put(key, text("far too long"), 5))
      assert.deepStrictEqual(yield* incoming(), [])
      assert.isFalse((yield* Effect.promise(() => readdir(directory))).includes("group"))
    })
  )

  // On the real clock, because the file system sets the files' times by it.
  it.live("are removed a day after a killed process left them unfinished, and are never listed", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const old = join(directory, ".incoming", "old")
      yield* Effect.promise(async () => {
        await mkdir(join(directory, ".incoming"))
        for (const name of ["old", "young"]) await writeFile(join(directory, ".incoming", name), "half")
        const yesterday = Date.now() / 1000 - 25 * 60 * 60
        await utimes(old, yesterday, yesterday)
      })
      const blobs = yield* open(directory)
      assert.deepStrictEqual(yield* Stream.runCollect(blobs.list), [])
      assert.deepStrictEqual(yield* Effect.promise(() => readdir(join(directory, ".incoming"))), ["young"])
    })
  )

  it.effect("do not include other content of the directory", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.promise(async () => {
        await mkdir(join(directory, "group", "folder.bin"), { recursive: true })
        await mkdir(join(directory, "lost+found"))
        await writeFile(join(directory, "README"), "not a group")
        await writeFile(join(directory, "group", ".hidden"), "")
      })
      const blobs = yield* open(directory)
      yield* blobs.put(key, text("hello"), 100)
      const listed = yield* Stream.runCollect(blobs.list)
      assert.deepStrictEqual(
        listed.map(({ key }) => key),
        [key]
      )
    })
  )

  it.effect("fail as unavailable while they cannot be written, and succeed afterwards", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const blobs = yield* open(directory)
      // A file where the group's folder belongs, which stops even root.
      const inTheWay = join(directory, "group")
      yield* Effect.promise(() => writeFile(inTheWay, ""))
      const error = yield* Effect.flip(blobs.put(key, text("hello"), 100))
      assert.strictEqual(error._tag, "BlobStoreUnavailable")
      assert.deepStrictEqual(yield* Effect.promise(() => readdir(join(directory, ".incoming"))), [])
      yield* Effect.promise(() => rm(inTheWay))
      yield* blobs.put(key, text("hello"), 100)
      const refused = yield* Effect.exit(open(join(directory, "group", "name.bin")))
      assert.isTrue(Exit.isFailure(refused))
    })
  )
})

describe("the key of a file", () => {
  const decode = Schema.decodeUnknownOption(BlobKey)
  for (const hostile of [
    "../secret",
    "group/..",
    "group/../../secret",
    "./name",
    "group/.",
    "group/.hidden",
    ".incoming/name",
    "/etc/passwd",
    "group/",
    "/name",
    "name",
    "a/b/c",
    "group\\..\\x/name",
    "group/na\u0000me",
    "group/name\n",
    "group/%2e%2e",
    "group/näme",
    `group/${"x".repeat(129)}`,
    `${"x".repeat(65)}/name`,
    ""
  ]) {
    it(`cannot be ${JSON.stringify(hostile).slice(0, 40)}`, () => {
      assert.isTrue(Option.isNone(decode(hostile)))
    })
  }
})
