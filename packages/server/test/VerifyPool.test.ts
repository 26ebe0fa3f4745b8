/** Threads that verify: every question is answered once, with its own answer, whatever happens to the threads. */
import type { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { makeVerifyPool, spawnThread, type VerifyPool } from "@sealog/server/signatures/VerifyPool"
import type { SignedText } from "@sealog/server/signatures/verifySignature"
import { makeAuthor, updateMessage } from "@sealog/server/testing"
import { Effect, Fiber } from "effect"

const author = makeAuthor()

const signed = (clock: number, isGenuine = true): SignedText => {
  const message = makeDecoder()(JSON.stringify(updateMessage(author, { docId: "d", refSnapshotId: "s", clock })))
  if (message._tag !== "Update") throw new Error(message._tag)
  return isGenuine ? message.signed : { ...message.signed, text: `${message.signed.text} ` }
}

const pool = (size: number, spawn = spawnThread) =>
  Effect.acquireRelease(
    Effect.sync(() => makeVerifyPool(size, spawn)),
    (pool) => Effect.promise(pool.close)
  )

const verify = (pool: VerifyPool, batch: ReadonlyArray<SignedText>) =>
  Effect.callback<ReadonlyArray<boolean>>((resume) => pool.verify(batch, (genuine) => resume(Effect.succeed(genuine))))

describe("a pool of threads", () => {
  for (const size of [0, 1, 3]) {
    it.live(`of ${size} answers each as it was asked, in batches of any size`, () =>
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

  it.live("answers all the same when its threads end in the middle of it", () =>
    Effect.gen(function* () {
      const workers: Array<Worker> = []
      const threads = yield* pool(2, () => {
        const worker = spawnThread()
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
})
