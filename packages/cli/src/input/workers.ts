/** How many processes `serve` runs. */
import { availableParallelism } from "node:os"
import * as Flags from "@oclif/core/flags"
import type { WorkerNumber } from "@sealog/server/workers"
import { CliFailure } from "../output/CliFailure.ts"
import { databaseOf } from "./databaseUrl.ts"

export const workerFlags = {
  workers: Flags.string({
    description:
      "number of processes that serve the port together, or auto for one for each core; more than one need Postgres",
    env: "SEALOG_WORKERS",
    default: "1"
  })
}

const MAX_WORKERS = 64

/** The number of connections to Postgres that a worker needs at least: to open documents, and to commit. */
const MIN_CONNECTIONS = 2
/** Without a number of the operator's, they have so many each, of Postgres' 100. */
const CONNECTIONS = 4

/** The variable by which a process that `serve` started knows its number, as NUMBER/COUNT. */
export const WORKER_VARIABLE = "SEALOG_WORKER"

interface WorkerSettings {
  readonly workers: string
  readonly database: string
  readonly dev: boolean
  readonly "database-connections"?: number | undefined
}

/** Fails with `WORKERS_INVALID` or `WORKERS_NEED_POSTGRES`, or with `USAGE` for settings that do not go together. */
export const workersOf = ({ database, dev, workers, ...flags }: WorkerSettings): number => {
  if (!/^(auto|[1-9]\d?)$/.test(workers) || Number(workers) > MAX_WORKERS) {
    throw new CliFailure({
      code: "WORKERS_INVALID",
      message: `--workers ${workers} is not a number of processes.`,
      exitCode: 2,
      tryThis: `a number from 1 to ${MAX_WORKERS}, or auto for one for each core`
    })
  }
  if (workers === "1") return 1
  if (databaseOf(database).kind === "sqlite") {
    throw new CliFailure({
      code: "WORKERS_NEED_POSTGRES",
      message:
        "One process at a time writes to a SQLite database, so it cannot have several workers. It uses the other cores for signatures.",
      exitCode: 2,
      tryThis: "without --workers (and SEALOG_WORKERS), or --database postgres://… for a process on each core"
    })
  }
  if (dev) throw usage("--dev runs one process.", "without --workers")
  const count = workers === "auto" ? Math.min(availableParallelism(), MAX_WORKERS) : Number(workers)
  const connections = flags["database-connections"]
  if (count > 1 && connections !== undefined && connections < MIN_CONNECTIONS * count) {
    throw usage(
      `${count} workers need ${MIN_CONNECTIONS} connections to Postgres each.`,
      `--database-connections ${MIN_CONNECTIONS * count} or more, or fewer --workers`
    )
  }
  return count
}

const usage = (message: string, tryThis: string) => new CliFailure({ code: "USAGE", message, exitCode: 2, tryThis })

/** The most connections to Postgres of all workers together. */
export const connectionsOfAll = (given: number | undefined, count: number): number => given ?? CONNECTIONS * count

/** The number of this process, if a parent started it as a worker. */
export const workerOf = (env: NodeJS.ProcessEnv): WorkerNumber | undefined => {
  const [, number, count] = /^(\d+)\/(\d+)$/.exec(env[WORKER_VARIABLE] ?? "") ?? []
  // Without the channel to a parent, the variable is somebody else's.
  return number === undefined || process.send === undefined
    ? undefined
    : { number: Number(number), count: Number(count) }
}
