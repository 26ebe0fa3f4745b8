/** `serve --workers`: the parent process, whose workers are this program again, with the same arguments. */
import { fork } from "node:child_process"
import { WorkerPool } from "@sealog/server/workers"
import { Context, Effect, Layer } from "effect"
import { withoutCredentials } from "../input/databaseUrl.ts"
import { listOf } from "../input/lists.ts"
import { metricsSettings } from "../input/metricsSettings.ts"
import type { ServeFlags } from "../input/serveFlags.ts"
import { WORKER_VARIABLE } from "../input/workers.ts"
import { layerLog } from "../output/logger.ts"
import { hostInUrl, listeningText, type StartReport, settingsOf } from "./serverStarted.ts"

/** Serves until it is interrupted. */
export const serveByWorkers = (flags: ServeFlags, count: number, { announce, listening }: StartReport) => {
  const database = withoutCredentials(flags.database)
  const [connections, path] = [flags["max-connections"], flags["secsync-path"]]
  const pool = WorkerPool.layer({
    ...{ count, port: flags.port, start: start(count) },
    ...(flags.host === undefined ? {} : { host: flags.host }),
    ...(path === undefined ? {} : { secsyncPath: path }),
    limits: connections === undefined ? {} : { maxConnections: connections },
    trustedProxies: listOf(flags["trusted-proxy"]),
    metrics: flags["metrics-port"] === undefined ? {} : metricsSettings(flags)
  })
  const serving = Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.logInfo("server stopped"))
    const { metricsPort, port } = Context.get(yield* Layer.build(pool), WorkerPool)
    listening(port)
    announce(listeningText(`ws://${hostInUrl(flags.host)}:${port}`, database, flags.admin))
    const settings = settingsOf(flags, { port, "metrics-port": metricsPort, database, workers: count })
    yield* Effect.annotateLogs(Effect.logInfo("server started"), settings)
    return yield* Effect.onInterrupt(Effect.never, () => Effect.logInfo("server stops"))
  })
  const lines = layerLog({ format: flags["log-format"], level: flags["log-level"] })
  return Effect.provide(Effect.scoped(serving), lines)
}

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
