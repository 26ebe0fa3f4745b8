/**
 * The parent of workers: it starts them, starts one that has ended again, gives them the connections of one port, and answers for
 * all of them together. It has no part in what clients send and receive.
 */
import type { ChildProcess } from "node:child_process"
import { createServer } from "node:net"
import { Clock, Context, Effect, Layer, Schema } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { parseTrustedProxies } from "../edge/ClientAddress.ts"
import { type MetricsOptions, serveMetrics } from "../edge/http/MetricsRoute.ts"
import { defaultLimits, type SocketLimits } from "../edge/Limits.ts"
import { listen } from "../edge/listen.ts"
import { watchEventLoop } from "../metrics/EventLoopDelay.ts"
import { showMetrics } from "../metrics/Family.ts"
import { CurrentWorkers, type Health } from "../ports/Workers.ts"
import { documentPathOf } from "../protocols/secsync/ConnectionUrl.ts"
import { CombinedMetrics } from "./CombinedMetrics.ts"
import { combineHealth } from "./combinedHealth.ts"
import { Doorway, doorOptions } from "./Doorway.ts"
import type { Answers, Question } from "./Messages.ts"
import { Placement } from "./Placement.ts"
import { shareOf } from "./shareOf.ts"
import { type Ended, WorkerProcess } from "./WorkerProcess.ts"

export interface WorkerPoolOptions {
  readonly count: number
  /** Starts a process that calls `joinParent`. Its numbers are 1 to `count`; one that ended is started again. */
  readonly start: (number: number) => ChildProcess
  /** 0: a free port, which `WorkerPool.port` tells. */
  readonly port: number
  /** Default: all interfaces. */
  readonly host?: string
  /** The limits of the whole server. */
  readonly limits?: Partial<SocketLimits>
  readonly trustedProxies?: ReadonlyArray<string>
  /** As in `SecsyncOptions`. */
  readonly secsyncPath?: string
  readonly metrics?: MetricsOptions
}

/** A worker ended before it could serve for the first time. It has said why. */
export class WorkerFailed extends Schema.TaggedError<WorkerFailed>()("WorkerFailed", {
  number: Schema.Finite,
  exitCode: Schema.NullOr(Schema.Finite)
}) {
  override get message(): string {
    return `Worker ${this.number} could not start.`
  }
}

/** Milliseconds until a worker that ended is started again: twice as many each time, unless it ran for longer than `STEADY`. */
const [FIRST_DELAY, MAX_DELAY, STEADY] = [100, 30_000, 60_000] as const

const WARNING_INTERVAL = 60_000

export class WorkerPool extends Context.Service<
  WorkerPool,
  {
    readonly port: number
    /** undefined: the metrics have no port of their own. */
    readonly metricsPort: number | undefined
  }
>()("@sealog/server/WorkerPool") {
  static readonly layer = (options: WorkerPoolOptions) => Layer.effect(WorkerPool, make(options))
}

const make = Effect.fnUntraced(function* (options: WorkerPoolOptions) {
  const { count, host, port } = options
  const limits = { ...defaultLimits, ...options.limits }
  const proxies = yield* Effect.fromResult(parseTrustedProxies(options.trustedProxies ?? []))
  yield* showMetrics
  yield* watchEventLoop
  const run = Effect.runSyncWith(yield* Effect.context<never>())
  const metrics = new CombinedMetrics()
  /** The workers that run, and those that start. */
  const workers = new Map<number, WorkerProcess>()
  /** Whether SIGUSR2 has changed the log level. */
  let isLevelChanged = false

  // ---- answers

  const askAll = <Q extends Question>(question: Q) =>
    Promise.all(
      Array.from(workers.values())
        .filter(({ isServing }) => isServing)
        .map(async (worker) => ({ number: worker.number, answer: await worker.ask(question) }))
    )
  const health = async (): Promise<Health> => {
    const answers = await askAll({ about: "health" })
    return combineHealth(
      answers.map(({ answer, number }) => ({ number, health: answer })),
      count
    )
  }
  const allMetrics = async (): Promise<string> => {
    for (const { answer, number } of await askAll({ about: "metrics" })) {
      if (answer !== undefined && workers.has(number)) metrics.update(String(number), answer)
    }
    metrics.update("parent", run(PrometheusMetrics.format()))
    return metrics.format()
  }
  const answerFor: { readonly [K in keyof Answers]: (question: Question & { about: K }) => Promise<Answers[K]> } = {
    health,
    metrics: allMetrics,
    connections: async (question) => (await askAll(question)).flatMap(({ answer = [] }) => answer),
    disconnect: async (question) => (await askAll(question)).reduce((sum, { answer = 0 }) => sum + answer, 0)
  }
  // The cast: each function is for the questions of its name.
  const answer = (question: Question) => answerFor[question.about](question as never)

  // ---- processes

  const start = (number: number): WorkerProcess => {
    const worker = new WorkerProcess(number, options.start(number), answer)
    workers.set(number, worker)
    void worker.ended.then(() => {
      workers.delete(number)
      metrics.end(String(number))
    })
    return worker
  }

  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      const last = [...workers.values()]
      for (const worker of last) worker.stop()
      await Promise.all(last.map(({ ended }) => ended))
    })
  )

  const keepRunning = (first: WorkerProcess) =>
    Effect.gen(function* () {
      let [worker, since, delay] = [first, yield* Clock.currentTimeMillis, FIRST_DELAY as number]
      while (true) {
        const { number } = worker
        const ended = yield* Effect.promise(() => worker.ended)
        if ((yield* Clock.currentTimeMillis) - since > STEADY) delay = FIRST_DELAY
        yield* Effect.logWarning(`worker ${number} ended (${reasonOf(ended)}), and starts again in ${delay} ms`)
        yield* Effect.sleep(delay)
        delay = Math.min(2 * delay, MAX_DELAY)
        since = yield* Clock.currentTimeMillis
        worker = start(number)
        if (!(yield* Effect.promise(() => worker.started))) continue
        if (isLevelChanged) worker.setLogLevel(true)
        yield* Effect.logInfo(`worker ${number} serves again`)
      }
    })

  const startFirst = Effect.fnUntraced(function* (number: number) {
    const worker = start(number)
    if (!(yield* Effect.promise(() => worker.started))) {
      const { code } = yield* Effect.promise(() => worker.ended)
      return yield* new WorkerFailed({ number, exitCode: code })
    }
    yield* Effect.forkScoped(keepRunning(worker))
  })

  // The first starts alone, so that it migrates the database before the others use it, and an operator reads a mistake once.
  yield* startFirst(1)
  yield* Effect.forEach(
    Array.from({ length: count - 1 }, (_, i) => i + 2),
    startFirst,
    {
      concurrency: "unbounded",
      discard: true
    }
  )

  const toggleLevel = () => {
    isLevelChanged = !isLevelChanged
    for (const worker of workers.values()) worker.setLogLevel(isLevelChanged)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => void process.on("SIGUSR2", toggleLevel)),
    () => Effect.sync(() => void process.off("SIGUSR2", toggleLevel))
  )

  // ---- connections

  const placement = new Placement<WorkerProcess>(({ number }) => shareOf(limits.maxConnections, { number, count }))
  let warnedAt = Number.NEGATIVE_INFINITY
  const door = new Doorway({
    maxConnectionsPerAddress: limits.maxConnectionsPerAddress,
    proxies,
    documentPath: documentPathOf(options.secsyncPath ?? ""),
    place: (key) => placement.place(key, workers.values()),
    refused: (address) => {
      if (performance.now() - warnedAt < WARNING_INTERVAL) return
      warnedAt = performance.now()
      run(Effect.logWarning(tooMany(address)))
    }
  })
  const all = { health: Effect.promise(health), metrics: Effect.promise(allMetrics) }
  const metricsPort = yield* serveMetrics(options.metrics ?? {}, host).pipe(
    Effect.provideService(CurrentWorkers, {
      ...all,
      connections: Effect.promise(() => answerFor.connections({ about: "connections" })),
      disconnect: (named) => Effect.promise(() => answerFor.disconnect({ about: "disconnect", named }))
    })
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => door.close()))
  const server = createServer(doorOptions, (socket) => door.accept(socket))
  return WorkerPool.of({ port: yield* listen(server, { host, port }), metricsPort })
})

const tooMany = (address: string): string =>
  `The address ${address} has too many connections; if it is a proxy, name it in --trusted-proxy`

const reasonOf = ({ code, signal }: Ended): string => (signal === null ? `exit code ${code}` : signal)
