/** `serve --workers`: the parent process, whose workers are this program again, with the same arguments. */
import { fork } from "node:child_process"
import { WorkerPool, type WorkerPoolOptions } from "@sealog/server/workers"
import { Context, Effect, Layer } from "effect"
import { WORKER_VARIABLE } from "../input/workers.ts"
import { hostInUrl, settingsOf } from "./serverStarted.ts"

export interface ServeByWorkers extends Omit<WorkerPoolOptions, "start"> {
  /** For the line at the start. */
  readonly flags: Readonly<Record<string, unknown>>
  /** The URL of the database without its password. */
  readonly database: string
  readonly announce: (line: string) => void
  readonly listening: (port: number) => void
}

/** Serves until it is interrupted. */
export const serveByWorkers = ({ announce, database, flags, listening, ...options }: ServeByWorkers) =>
  Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.logInfo("server stopped"))
    const services = yield* Layer.build(WorkerPool.layer({ ...options, start: start(options.count) }))
    const { metricsPort, port } = Context.get(services, WorkerPool)
    listening(port)
    announce(`Listening on ws://${hostInUrl(options.host)}:${port}, log in ${database}`)
    const settings = settingsOf(flags, { port, "metrics-port": metricsPort, database, workers: options.count })
    yield* Effect.annotateLogs(Effect.logInfo("server started"), settings)
    return yield* Effect.onInterrupt(Effect.never, () => Effect.logInfo("server stops"))
  }).pipe(Effect.scoped)

const start = (count: number) => (number: number) => {
  const [, program = "", ...args] = process.argv
  return fork(
    program,
    // The parent's result is the one JSON value on stdout.
    args.filter((arg) => arg !== "--json"),
    {
      env: { ...process.env, [WORKER_VARIABLE]: `${number}/${count}` },
      // A worker prints for the operator alone: its log, and why it could not start.
      stdio: ["ignore", 2, 2, "ipc"]
    }
  )
}
