/** The conformance suite of `BlobStore`. A store's own test file only names its layer. */
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Stream } from "effect"
import { blake2b256 } from "../domain/Blake2b.ts"
import { BlobKey, type BlobRange, BlobStore, BlobStoreUnavailable, BlobTooLarge } from "../ports/BlobStore.ts"

const MiB = 1024 * 1024
const ANY_SIZE = 1024 * MiB

const randomKey = (group = crypto.randomUUID()) => BlobKey.make(`${group}/${crypto.randomUUID()}.bin`)

/** Pseudo-random bytes: a part that is stored at the wrong place is noticed. */
const bytesOf = (size: number, seed = 1): Uint8Array => {
  const bytes = new Uint8Array(size)
  for (let i = 0, x = seed; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    bytes[i] = x >>> 24
  }
  return bytes
}

const inChunks = (bytes: Uint8Array, size: number): Stream.Stream<Uint8Array> => {
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size)
  )
  return Stream.fromIterable(chunks)
}

const read = Effect.fnUntraced(function* (key: BlobKey, range?: BlobRange) {
  const blob = yield* (yield* BlobStore).get(key, range)
  if (blob === undefined) return undefined
  return { size: blob.size, bytes: Buffer.concat(yield* Stream.runCollect(blob.bytes)) }
}, Effect.scoped)

const put = Effect.fnUntraced(function* (key: BlobKey, bytes: Uint8Array) {
  return yield* (yield* BlobStore).put(key, inChunks(bytes, 64 * 1024), ANY_SIZE)
})

const assertHolds = Effect.fnUntraced(function* (key: BlobKey, bytes: Uint8Array) {
  const found = yield* read(key)
  assert.strictEqual(found?.size, bytes.length)
  // Not deepStrictEqual, which would print megabytes that differ.
  assert.isTrue(found?.bytes.equals(bytes), "the bytes are those that were stored")
})

export interface BlobStoreSuiteOptions {
  /** False for a service that writes objects in place, so that two concurrent writers leave a mixture. Default: true. */
  readonly replacesAtOnce?: boolean
}

export const blobStoreSuite = (
  name: string,
  store: Layer.Layer<BlobStore, unknown>,
  { replacesAtOnce = true }: BlobStoreSuiteOptions = {}
): void =>
  // On the real clock, because a service answers in real time.
  layer(store, { excludeTestServices: true })(`BlobStore (${name})`, (it) => {
    for (const [what, size] of [
      ["nothing", 0],
      ["one byte", 1],
      ["some bytes", 200_001],
      ["exactly one part", 8 * MiB],
      ["several parts", 17 * MiB + 5]
    ] as const) {
      it.effect(`stores a file of ${what}, and returns its size and hash`, () =>
        Effect.gen(function* () {
          const key = randomKey()
          const bytes = bytesOf(size)
          assert.deepStrictEqual(yield* put(key, bytes), { size, hash: blake2b256(bytes) })
          assert.deepStrictEqual(yield* (yield* BlobStore).stat(key), { size })
          yield* assertHolds(key, bytes)
        })
      )
    }

    it.effect("accepts chunks that are larger than a part, and empty ones", () =>
      Effect.gen(function* () {
        const key = randomKey()
        const bytes = bytesOf(9 * MiB)
        const chunks = Stream.make(new Uint8Array(0), bytes, new Uint8Array(0))
        const stored = yield* (yield* BlobStore).put(key, chunks, ANY_SIZE)
        assert.deepStrictEqual(stored, { size: bytes.length, hash: blake2b256(bytes) })
        yield* assertHolds(key, bytes)
      })
    )

    it.effect("finds no file that was never stored", () =>
      Effect.gen(function* () {
        const blobs = yield* BlobStore
        const key = randomKey()
        assert.isUndefined(yield* read(key))
        assert.isUndefined(yield* read(key, { offset: 0, length: 1 }))
        assert.isUndefined(yield* read(key, { offset: 0, length: 0 }))
        assert.isUndefined(yield* blobs.stat(key))
        yield* blobs.delete(key)
      })
    )

    it.effect("reads a range, cut off at the file's end", () =>
      Effect.gen(function* () {
        const key = randomKey()
        const bytes = bytesOf(200_000)
        yield* put(key, bytes)
        for (const [offset, length] of [
          [0, 1],
          [0, 200_000],
          [65_535, 2],
          [199_999, 1],
          [100_000, 90_000],
          [199_990, 5000],
          [200_000, 1],
          [5_000_000, 10],
          [10, 0]
        ] as const) {
          const found = yield* read(key, { offset, length })
          assert.strictEqual(found?.size, 200_000)
          assert.isTrue(found?.bytes.equals(bytes.subarray(offset, offset + length)), `${length} bytes at ${offset}`)
        }
      })
    )

    it.effect("replaces a file as a whole", () =>
      Effect.gen(function* () {
        const key = randomKey()
        const [before, after] = [bytesOf(9 * MiB, 2), bytesOf(1000, 3)]
        yield* put(key, before)
        yield* put(key, after)
        yield* assertHolds(key, after)
      })
    )

    if (replacesAtOnce) {
      it.effect("stores one of several concurrent files under one key", () =>
        Effect.gen(function* () {
          const key = randomKey()
          const all = Array.from({ length: 5 }, (_, i) => bytesOf(300_000 + i, i))
          yield* Effect.forEach(all, (bytes) => put(key, bytes), { concurrency: "unbounded" })
          const found = yield* read(key)
          assert.isTrue(all.some((bytes) => found?.bytes.equals(bytes)))
        })
      )
    }

    for (const [when, size] of [
      ["its first part", 100_000],
      ["several parts", 17 * MiB]
    ] as const) {
      it.effect(`shows nothing of a file that fails after ${when}, and keeps the previous file`, () =>
        Effect.gen(function* () {
          const blobs = yield* BlobStore
          const [key, taken] = [randomKey(), randomKey()]
          const bytes = bytesOf(1000)
          yield* put(taken, bytes)
          const failing = Stream.concat(inChunks(bytesOf(size), 65_536), Stream.fail("cut off" as const))
          assert.strictEqual(yield* Effect.flip(blobs.put(key, failing, ANY_SIZE)), "cut off")
          assert.strictEqual(yield* Effect.flip(blobs.put(taken, failing, ANY_SIZE)), "cut off")
          assert.isUndefined(yield* blobs.stat(key))
          yield* assertHolds(taken, bytes)
        })
      )

      it.effect(`shows nothing of a file while it is uploaded, nor after an interruption after ${when}`, () =>
        Effect.gen(function* () {
          const blobs = yield* BlobStore
          const key = randomKey()
          const arrived = yield* Deferred.make<void>()
          const hanging = inChunks(bytesOf(size), 65_536).pipe(
            Stream.concat(Stream.fromEffect(Effect.andThen(Deferred.succeed(arrived, undefined), Effect.never)))
          )
          const uploading = yield* Effect.forkChild(blobs.put(key, hanging, ANY_SIZE))
          yield* Deferred.await(arrived)
          assert.isUndefined(yield* blobs.stat(key))
          yield* Fiber.interrupt(uploading)
          assert.isUndefined(yield* blobs.stat(key))
          yield* put(key, bytesOf(10))
          yield* assertHolds(key, bytesOf(10))
        })
      )
    }

    it.effect("stops reading as soon as a file is too long, and stores nothing of it", () =>
      Effect.gen(function* () {
        const blobs = yield* BlobStore
        const key = randomKey()
        let read = 0
        const bytes = Stream.tap(Stream.forever(Stream.make(bytesOf(1000))), () => Effect.sync(() => read++))
        const error = yield* Effect.flip(blobs.put(key, bytes, 100_000))
        assert.deepStrictEqual(error, new BlobTooLarge({ maxBytes: 100_000 }))
        assert.isBelow(read, 110)
        assert.isUndefined(yield* blobs.stat(key))
        assert.strictEqual((yield* blobs.put(key, inChunks(bytesOf(100_000), 1000), 100_000)).size, 100_000)
      })
    )

    it.effect("deletes a file, and succeeds when it is deleted already", () =>
      Effect.gen(function* () {
        const blobs = yield* BlobStore
        const group = crypto.randomUUID()
        const [key, other] = [randomKey(group), randomKey(group)]
        yield* put(key, bytesOf(10))
        yield* put(other, bytesOf(20))
        yield* blobs.delete(key)
        yield* blobs.delete(key)
        assert.isUndefined(yield* read(key))
        yield* assertHolds(other, bytesOf(20))
      })
    )

    it.effect("continues to read a file that was deleted, or fails as unavailable", () =>
      Effect.gen(function* () {
        const blobs = yield* BlobStore
        const key = randomKey()
        const bytes = bytesOf(MiB)
        yield* put(key, bytes)
        const blob = yield* blobs.get(key)
        yield* blobs.delete(key)
        const end = yield* Effect.result(Stream.runCollect(blob!.bytes))
        if (end._tag === "Failure") assert.instanceOf(end.failure, BlobStoreUnavailable)
        else assert.isTrue(Buffer.concat(end.success).equals(bytes))
      })
    )

    it.effect("releases a file that is not read to its end", () =>
      Effect.gen(function* () {
        const blobs = yield* BlobStore
        const key = randomKey()
        yield* put(key, bytesOf(9 * MiB))
        for (let i = 0; i < 20; i++) {
          const first = yield* Effect.scoped(Effect.flatMap(blobs.get(key), (blob) => Stream.runHead(blob!.bytes)))
          assert.isTrue(first._tag === "Some" && first.value.length > 0)
        }
      })
    )

    it.effect("lists all files, group by group", () =>
      Effect.gen(function* () {
        const blobs = yield* BlobStore
        const groups = [crypto.randomUUID(), crypto.randomUUID()]
        const keys = Array.from({ length: 40 }, (_, i) => randomKey(groups[i % 2]))
        yield* Effect.forEach(keys, (key, i) => put(key, bytesOf(i)), { concurrency: 4, discard: true })
        yield* blobs.delete(keys[0]!)
        const listed = (yield* Stream.runCollect(blobs.list)).filter(({ key }) =>
          groups.some((group) => group === key.split("/")[0])
        )
        const sizes = new Map<string, number>(listed.map(({ key, size }) => [key, size]))
        for (const [i, key] of keys.entries()) assert.strictEqual(sizes.get(key), i === 0 ? undefined : i)
        assert.strictEqual(listed.length, 39)
        assert.isTrue(listed.every(({ modifiedAt }) => Number.isFinite(modifiedAt)))
        const order = listed.map(({ key }) => key.split("/")[0])
        assert.strictEqual(order.filter((group, i) => group !== order[i - 1]).length, 2)
      })
    )
  })
