/** Threads for jobs: each caller gets the answer to its own job, and a thread that ends fails its job alone. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { makeJobThreads } from "@sealog/server/internal/JobThreads"
import { Cause, Effect, Exit } from "effect"

interface Job {
  readonly length: number
  readonly bytes?: Uint8Array<ArrayBuffer>
  readonly fails?: boolean
}

const JOB_THREADS = new URL("../../src/internal/JobThreads.ts", import.meta.url).href

/** A thread that answers with a length, and counts its own jobs. */
const CODE = `
const { answerJobs } = await import(${JSON.stringify(JOB_THREADS)})
let jobs = 0
answerJobs(({ bytes, fails, length }) => {
  if (fails) throw new Error("a broken job")
  jobs += 1
  return { result: { length: bytes === undefined ? length : bytes.length, jobs }, transfer: [] }
})`

const THREAD = `data:text/javascript,${encodeURIComponent(CODE)}`

const started = (workers: Array<Worker>) => () => {
  const worker = new Worker(new URL(THREAD))
  workers.push(worker)
  return worker
}

const makeThreads = (size: number) => {
  const workers: Array<Worker> = []
  return Effect.map(
    makeJobThreads<Job, { readonly length: number; readonly jobs: number }>(size, started(workers)),
    (threads) => ({
      threads,
      workers
    })
  )
}

describe("threads for jobs", () => {
  it.live("answer each job with its own result, and start no more threads than they may", () =>
    Effect.gen(function* () {
      const { threads, workers } = yield* makeThreads(2)
      assert.lengthOf(workers, 0)
      const lengths = Array.from({ length: 40 }, (_, i) => i)
      const answers = yield* Effect.forEach(lengths, (length) => threads.run({ length }), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        answers.map(({ length }) => length),
        lengths
      )
      assert.lengthOf(workers, 2)
    })
  )

  it.live("are waited for at the end, also by a process that has nothing else to do", () =>
    Effect.gen(function* () {
      const code = `
        import { Worker } from "node:worker_threads"
        import { Effect } from ${JSON.stringify(import.meta.resolve("effect"))}
        import { makeJobThreads } from ${JSON.stringify(JOB_THREADS)}
        const start = () => new Worker(new URL(${JSON.stringify(THREAD)}))
        const job = Effect.flatMap(makeJobThreads(1, start), (threads) => threads.run({ length: 1 }))
        await Effect.runPromise(Effect.scoped(job))
        console.log("the scope is closed")`
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, ["--input-type=module", "--eval", code])
      )
      assert.strictEqual(stdout, "the scope is closed\n")
    })
  )

  it.live("take over the buffers of a job", () =>
    Effect.gen(function* () {
      const { threads } = yield* makeThreads(1)
      const bytes = new Uint8Array(1000)
      assert.strictEqual((yield* threads.run({ length: 0, bytes }, [bytes.buffer])).length, 1000)
      assert.lengthOf(bytes, 0)
    })
  )

  it.live("fail a job whose thread ends, and do the next ones on another thread", () =>
    Effect.gen(function* () {
      const { threads, workers } = yield* makeThreads(1)
      const jobs = [{ length: 1 }, { length: 2, fails: true }, { length: 3 }]
      const exits = yield* Effect.forEach(jobs, (job) => Effect.exit(threads.run(job)), { concurrency: "unbounded" })
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
      assert.match(Cause.pretty(Exit.isFailure(exits[1]!) ? exits[1].cause : Cause.empty), /a broken job/)
      assert.lengthOf(workers, 2)
    })
  )

  it.live("do not begin a job whose caller has gone", () =>
    Effect.gen(function* () {
      const { threads } = yield* makeThreads(1)
      const first = yield* Effect.forkChild(threads.run({ length: 1 }), { startImmediately: true })
      const second = yield* Effect.forkChild(threads.run({ length: 2 }), { startImmediately: true })
      second.interruptUnsafe()
      assert.strictEqual((yield* threads.run({ length: 3 })).jobs, 2)
      first.interruptUnsafe()
    })
  )
})
