/** Verifier threads: the pool answers every call once and with its own results, even if threads end. */
import type { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { makeVerifierPool, spawnThread, type VerifierPool } from "@sealog/server/signatures/VerifierPool"
import type { PackedUpdate } from "@sealog/server/signatures/verifyPacked"
import type { SignedText } from "@sealog/server/signatures/verifySignature"
import type { Signed } from "@sealog/server/signatures/verifySigned"
import { makeAuthor, updateMessage } from "@sealog/server/testing"
import { Effect, Fiber } from "effect"
import sodium from "libsodium-wrappers"

const author = makeAuthor()

const signed = (clock: number, isGenuine = true): SignedText => {
  const message = makeDecoder()(JSON.stringify(updateMessage(author, { docId: "d", refSnapshotId: "s", clock })))
  if (message._tag !== "Update") throw new Error(message._tag)
  return isGenuine ? message.signed : { ...message.signed, text: `${message.signed.text} ` }
}

const packed = (clock: number, ciphertext = 100): PackedUpdate => {
  const message = makeDecoder()(
    JSON.stringify(updateMessage(author, { docId: "d", refSnapshotId: "s", clock, ciphertext }))
  )
  if (message._tag !== "Update") throw new Error(message._tag)
  return { packed: message.packed!, payloadHash: blake2b256(message.payload), pubKey: author.pubKey }
}

const pool = (size: number, spawn = spawnThread) =>
  Effect.acquireRelease(
    Effect.sync(() => makeVerifierPool(size, spawn)),
    (pool) => Effect.promise(pool.close)
  )

const verify = (pool: VerifierPool, batch: ReadonlyArray<Signed>) =>
  Effect.callback<ReadonlyArray<boolean>>((resume) => pool.verify(batch, (genuine) => resume(Effect.succeed(genuine))))

describe("a pool of threads", () => {
  for (const size of [0, 1, 3]) {
    it.live(`of ${size} answers each call with its own results, in batches of any size`, () =>
      Effect.gen(function* () {
        const threads = yield* pool(size)
        const genuine = signed(0)
        const forged = signed(0, false)
        const asked = Array.from({ length: 300 }, (_, i) =>
          Array.from({ length: i % 7 === 0 ? 100 : i % 5 }, (_, j) => (i * 31 + j) % 3 !== 0)
        )
        const answers = yield* Effect.forEach(
          asked,
          (batch) =>
            verify(
              threads,
              batch.map((isGenuine) => (isGenuine ? genuine : forged))
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(answers, asked)
      })
    )
  }

  it.live("answers every call when its threads end during the work", () =>
    Effect.gen(function* () {
      const workers: Array<Worker> = []
      const threads = yield* pool(2, (memory) => {
        const worker = spawnThread(memory)
        workers.push(worker)
        return worker
      })
      const batch = Array.from({ length: 50 }, (_, i) => signed(i, i % 2 === 0))
      const expected = batch.map((_, i) => i % 2 === 0)
      const first = yield* Effect.forkChild(
        Effect.forEach([batch, batch, batch, batch], (batch) => verify(threads, batch), { concurrency: "unbounded" })
      )
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* Effect.promise(() => Promise.all(workers.map((worker) => worker.terminate())))
      assert.deepStrictEqual(yield* Fiber.join(first), [expected, expected, expected, expected])
      assert.deepStrictEqual(yield* verify(threads, batch), expected)
    })
  )

  it.live("ends its threads on close, even those that are starting or busy", () =>
    Effect.gen(function* () {
      const codes: Array<number> = []
      const spawn: typeof spawnThread = (memory) => spawnThread(memory).once("exit", (code) => codes.push(code))
      const starting = makeVerifierPool(2, spawn)
      yield* Effect.promise(starting.close)
      const working = makeVerifierPool(2, spawn)
      const batch = Array.from({ length: 50 }, (_, i) => signed(i))
      yield* verify(working, batch)
      working.verify(batch, () => {})
      yield* Effect.promise(working.close)
      // A terminated thread ends with 1.
      assert.deepStrictEqual(codes, [0, 0, 0, 0])
    })
  )

  it.live("verifies texts that are larger than the shared memory", () =>
    Effect.gen(function* () {
      const threads = yield* pool(1)
      const message = makeDecoder()(
        JSON.stringify(updateMessage(author, { docId: "d", refSnapshotId: "s", clock: 0, ciphertext: 500_000 }))
      )
      if (message._tag !== "Update") throw new Error(message._tag)
      const large = message.signed
      const batch = [large, { ...large, text: `${large.text} ` }, signed(0), large]
      assert.deepStrictEqual(yield* verify(threads, batch), [true, false, true, true])
      assert.deepStrictEqual(yield* verify(threads, [signed(0), signed(1, false), signed(2)]), [true, false, true])
    })
  )

  it.live("verifies texts that are not ASCII", () =>
    Effect.gen(function* () {
      const threads = yield* pool(1)
      const additional = { name: "✉ 𝄞 é\u2028" }
      const message = makeDecoder()(
        JSON.stringify(updateMessage(author, { docId: "d", refSnapshotId: "s", clock: 0, additional }))
      )
      if (message._tag !== "Update") throw new Error(message._tag)
      const { pubKey, privateKey } = author
      const text = "sealed ✉ 𝄞"
      const signature = sodium.to_base64(sodium.crypto_sign_detached(text, privateKey))
      const spoiled = { text, signature: "✉".repeat(86), pubKey }
      const batch = [message.signed, { text, signature, pubKey }, spoiled, { ...spoiled, signature: "" }]
      assert.deepStrictEqual(yield* verify(threads, batch), [true, true, false, false])
    })
  )

  it.live("verifies packed updates beside texts, those too that are larger than the shared memory", () =>
    Effect.gen(function* () {
      const threads = yield* pool(1)
      const right = [packed(0), packed(1), packed(2, 1_200_000)]
      const wrong = right.map((update) => ({ ...update, payloadHash: "A".repeat(43) }))
      const small = [...right.slice(0, 2), signed(0), ...wrong.slice(0, 2), signed(1, false)]
      assert.deepStrictEqual(yield* verify(threads, small), [true, true, true, false, false, false])
      const large = [...right, signed(0), ...wrong]
      assert.deepStrictEqual(yield* verify(threads, large), [true, true, true, true, false, false, false])
    })
  )
})
