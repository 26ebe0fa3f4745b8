/**
 * Threads that verify signatures, so that the main thread does not. The signatures of one turn of the event loop go
 * together. While all threads are busy, signatures queue, and the next free thread takes them: the load makes the batch.
 * A few signatures are verified on the main thread, because the hand-over would take as long.
 */
import { Worker } from "node:worker_threads"
import * as Metrics from "../metrics/Metrics.ts"
import { SharedMemoryBatch, State } from "./SharedMemoryBatch.ts"
import { type Signed, verifySigned } from "./verifySigned.ts"

export interface VerifierPool {
  /** Calls `done` once, later, with a flag for each signature in the order given: true if it is genuine. */
  readonly verify: (signed: ReadonlyArray<Signed>, done: (genuine: ReadonlyArray<boolean>) => void) => void
  /** Signatures that wait for a thread. */
  readonly waiting: () => number
  /** Resolves when the threads have ended. A question that is not answered by then stays unanswered. */
  readonly close: () => Promise<void>
}

interface Job {
  readonly signed: ReadonlyArray<Signed>
  readonly done: (genuine: ReadonlyArray<boolean>) => void
}

interface Thread {
  readonly worker: Worker
  readonly batch: SharedMemoryBatch
  /** The jobs that it verifies now; undefined: it is free. */
  busy: ReadonlyArray<Job> | undefined
}

/** Up to this many signatures are verified on the main thread. */
const FEW = 2
/** Signatures in one batch, so that the other threads get work too. */
const MAX_BATCH = 64

/** Starts the thread from the sources or from the build, whichever this file is in. */
export const spawnThread = (memory: SharedArrayBuffer): Worker => {
  const file = import.meta.url.endsWith(".ts") ? "./verifierThread.ts" : "./verifierThread.js"
  return new Worker(new URL(file, import.meta.url), { workerData: memory })
}

const onThreads = Metrics.signaturesVerified.at({ thread: "verifier" })
const onMain = Metrics.signaturesVerified.at({ thread: "main" })

export const makeVerifierPool = (size: number, spawn = spawnThread): VerifierPool => {
  const waiting: Array<Job> = []
  let threads: Array<Thread> = []
  let isClosed = false
  let isScheduled = false

  const countWaiting = () => waiting.reduce((sum, { signed }) => sum + signed.length, 0)

  const dispatchAll = (): void => {
    isScheduled = false
    if (isClosed) return
    const count = countWaiting()
    if (threads.length === 0 || count <= FEW) return verifyHere(waiting.splice(0))
    for (const thread of threads) dispatch(thread)
  }

  const dispatch = (thread: Thread): void => {
    if (isClosed || waiting.length === 0 || thread.busy !== undefined) return
    let count = 0
    const end = waiting.findIndex((job, i) => {
      count += job.signed.length
      return i > 0 && count > MAX_BATCH
    })
    thread.busy = waiting.splice(0, end === -1 ? waiting.length : end)
    const signed = thread.busy.flatMap(({ signed }) => signed)
    onThreads.add(signed.length)
    if (thread.batch.write(signed)) return thread.batch.wake(State.here)
    thread.worker.postMessage(signed)
    thread.batch.wake(State.message)
  }

  const settle = (jobs: ReadonlyArray<Job>, genuine: ReadonlyArray<boolean>): void => {
    let from = 0
    for (const { done, signed } of jobs) {
      done(genuine.slice(from, from + signed.length))
      from += signed.length
    }
  }

  const verifyHere = (jobs: ReadonlyArray<Job>): void => {
    const genuine = jobs.flatMap(({ signed }) => signed.map(verifySigned))
    onMain.add(genuine.length)
    settle(jobs, genuine)
  }

  const start = (): Thread => {
    const batch = new SharedMemoryBatch()
    const thread: Thread = { worker: spawn(batch.memory), batch, busy: undefined }
    thread.worker.on("message", (results: Uint8Array) => {
      const jobs = thread.busy ?? []
      thread.busy = undefined
      dispatch(thread)
      settle(
        jobs,
        Array.from(results, (result) => result === 1)
      )
    })
    // The main thread takes over the jobs of a thread that ends. No thread replaces it: it might end for the same reason.
    thread.worker.on("error", () => {})
    thread.worker.on("exit", () => {
      threads = threads.filter((other) => other !== thread)
      if (isClosed) return
      verifyHere(thread.busy ?? [])
      dispatchAll()
    })
    return thread
  }
  threads = Array.from({ length: size }, start)

  return {
    verify: (signed, done) => {
      waiting.push({ signed, done })
      if (isScheduled || (threads.length > 0 && threads.every(({ busy }) => busy !== undefined))) return
      isScheduled = true
      setImmediate(dispatchAll)
    },
    waiting: countWaiting,
    close: async () => {
      isClosed = true
      // Never `terminate`: in a thread that is just starting, it can end the whole process (Node 26).
      await Promise.all(
        threads.map(({ batch, worker }) => {
          const ended = new Promise((resolve) => worker.once("exit", resolve))
          batch.wake(State.end)
          return ended
        })
      )
    }
  }
}
