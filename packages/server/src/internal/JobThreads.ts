/**
 * Threads for jobs that would hold up the event loop. Each job is a message, and its answer another one; large buffers are
 * handed over and not copied. The first job starts a thread. A thread without a job for a while ends and frees its memory.
 */
import { type MessagePort, parentPort, type Worker } from "node:worker_threads"
import { Effect, type Scope } from "effect"

/** An answer, and the buffers in it that are handed over. */
export interface Answer<Result> {
  readonly result: Result
  readonly transfer: ReadonlyArray<ArrayBuffer>
}

export interface JobThreads<Job, Result> {
  /** Does a job on a thread. The buffers in `transfer` are gone for the caller. Dies if the thread ends before it answers. */
  readonly run: (job: Job, transfer?: ReadonlyArray<ArrayBuffer>) => Effect.Effect<Result>
}

interface Waiting {
  readonly job: unknown
  readonly transfer: ReadonlyArray<ArrayBuffer>
  readonly resume: (effect: Effect.Effect<unknown>) => void
}

interface Thread {
  readonly worker: Worker
  /** undefined: it is free. */
  busy: Waiting | undefined
  idle: NodeJS.Timeout | undefined
}

/** How long a thread stays without a job, ms. */
const IDLE_MILLIS = 600_000

/** This message ends a thread. */
const END = null

/** Starts at most `size` threads. They end when the scope closes, once they have answered. */
export const makeJobThreads = <Job, Result>(
  size: number,
  spawn: () => Worker
): Effect.Effect<JobThreads<Job, Result>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Pool(size, spawn)),
      (pool) => Effect.suspend(() => (pool.isEmpty ? Effect.void : Effect.promise(() => pool.close())))
    ),
    (pool) => ({
      run: (job, transfer = []) =>
        Effect.callback<Result>((resume) => {
          const waiting: Waiting = { job, transfer, resume: resume as Waiting["resume"] }
          pool.add(waiting)
          return Effect.sync(() => pool.remove(waiting))
        })
    })
  )

class Pool {
  private readonly size: number
  private readonly spawn: () => Worker
  private readonly threads = new Set<Thread>()
  private waiting: Array<Waiting> = []

  constructor(size: number, spawn: () => Worker) {
    this.size = size
    this.spawn = spawn
  }

  add(waiting: Waiting): void {
    this.waiting.push(waiting)
    const free = [...this.threads].find(({ busy }) => busy === undefined)
    if (free !== undefined) this.dispatch(free)
    else if (this.threads.size < this.size) this.dispatch(this.start())
  }

  /** The caller is gone. A job that has begun goes on, and its answer is dropped. */
  remove(waiting: Waiting): void {
    this.waiting = this.waiting.filter((other) => other !== waiting)
  }

  get isEmpty(): boolean {
    return this.threads.size === 0
  }

  async close(): Promise<void> {
    this.waiting = []
    await Promise.all(
      Array.from(this.threads, ({ idle, worker }) => {
        clearTimeout(idle)
        const ended = new Promise((resolve) => worker.once("exit", resolve))
        // Without this, a process with nothing else to do ends here, and what comes after the scope is never done.
        worker.ref()
        worker.postMessage(END)
        return ended
      })
    )
  }

  private dispatch(thread: Thread): void {
    const next = this.waiting.shift()
    thread.busy = next
    if (next === undefined) {
      // A thread without a job does not keep the process alive.
      thread.worker.unref()
      thread.idle = setTimeout(() => this.end(thread), IDLE_MILLIS).unref()
      return
    }
    clearTimeout(thread.idle)
    thread.worker.ref()
    thread.worker.postMessage(next.job, [...next.transfer])
  }

  private end(thread: Thread): void {
    this.threads.delete(thread)
    thread.worker.postMessage(END)
  }

  private start(): Thread {
    const thread: Thread = { worker: this.spawn(), busy: undefined, idle: undefined }
    this.threads.add(thread)
    let failure: unknown
    thread.worker.on("message", (result) => {
      const done = thread.busy
      this.dispatch(thread)
      done?.resume(Effect.succeed(result))
    })
    thread.worker.on("error", (error) => {
      failure = error
    })
    thread.worker.on("exit", () => {
      this.threads.delete(thread)
      clearTimeout(thread.idle)
      thread.busy?.resume(Effect.die(failure ?? new Error("A thread ended before its job was done")))
      if (this.waiting.length > 0 && this.threads.size < this.size) this.dispatch(this.start())
    })
    return thread
  }
}

/** The code of a thread: it answers one job after the other. If `answer` throws, the thread ends, and its job dies of that. */
export const answerJobs = <Job, Result>(
  answer: (job: Job) => Answer<Result>,
  port: MessagePort | null = parentPort
): void => {
  port?.on("message", (job: Job | typeof END) => {
    if (job === END) return port.close()
    const { result, transfer } = answer(job)
    port.postMessage(result, [...transfer])
  })
}

/** The bytes in a buffer of their own, which can be handed over. They are copied only if they share theirs with others. */
export const handedOver = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  bytes.buffer instanceof ArrayBuffer && bytes.length === bytes.buffer.byteLength
    ? (bytes as Uint8Array<ArrayBuffer>)
    : new Uint8Array(bytes)
