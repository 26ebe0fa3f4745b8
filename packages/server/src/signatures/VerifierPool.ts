/**
 * Threads that verify signatures, so that the one that everything else happens on does not have to. What one turn of the
 * event loop brings goes together; what comes while all threads are busy gathers, and goes to the next that is free: a
 * batch is as large as the load makes it. A few are verified here: handing them over and back would take as long.
 */
import { Worker } from "node:worker_threads"
import { SharedMemoryBatch, State } from "./SharedMemoryBatch.ts"
import { type SignedText, verifySignature } from "./verifySignature.ts"

export interface VerifierPool {
  /** `done` is called once, later; whether each is genuine, in the order given. */
  readonly verify: (signed: ReadonlyArray<SignedText>, done: (genuine: ReadonlyArray<boolean>) => void) => void
  /** Done when the threads have ended; what was asked and is not answered by then never is. */
  readonly close: () => Promise<void>
}

interface Job {
  readonly signed: ReadonlyArray<SignedText>
  readonly done: (genuine: ReadonlyArray<boolean>) => void
}

interface Thread {
  readonly worker: Worker
  readonly batch: SharedMemoryBatch
  /** What it is verifying now; undefined: it is free. */
  busy: ReadonlyArray<Job> | undefined
}

/** Signatures that are verified here when there are no more. */
const FEW = 2
/** Signatures that one thread is given at a time, so that the others have something to do. */
const MAX_BATCH = 64

/** From the sources as from what was built of them. */
export const spawnThread = (memory: SharedArrayBuffer): Worker => {
  const file = import.meta.url.endsWith(".ts") ? "./verifierThread.ts" : "./verifierThread.js"
  return new Worker(new URL(file, import.meta.url), { workerData: memory })
}

export const makeVerifierPool = (size: number, spawn = spawnThread): VerifierPool => {
  const waiting: Array<Job> = []
  let threads: Array<Thread> = []
  let isClosed = false
  let isScheduled = false

  const dispatchAll = (): void => {
    isScheduled = false
    if (isClosed) return
    const count = waiting.reduce((sum, { signed }) => sum + signed.length, 0)
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

  const verifyHere = (jobs: ReadonlyArray<Job>): void =>
    settle(
      jobs,
      jobs.flatMap(({ signed }) => signed.map(verifySignature))
    )

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
    // A thread that ends takes nothing with it; another one is not started, as it may end for the same reason.
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
    close: async () => {
      isClosed = true
      // Not terminated: in a thread that is just starting, that can take the process with it (Node 26).
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
