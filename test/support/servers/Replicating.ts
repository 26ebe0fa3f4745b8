/** `sync-admin replicate --follow` in its own process, which a test can stop and kill. */
import { type ChildProcess, spawn } from "node:child_process"
import { Effect } from "effect"
import { freePort } from "../network/freePort.ts"
import { until } from "../until.ts"
import { syncAdmin } from "./ServerProcess.ts"

export interface Replicating {
  readonly child: ChildProcess
  /** The value of a metric, as Prometheus reads it. */
  readonly metric: (name: string) => Effect.Effect<number>
  /** Sends a signal, and returns the exit code and the output. */
  readonly end: (signal: NodeJS.Signals) => Effect.Effect<{ readonly code: number | null; readonly output: string }>
}

/** Starts `replicate --follow`, and waits until it has metrics. */
export const startReplicating = Effect.fnUntraced(function* (database: string, to: string) {
  const port = yield* Effect.promise(freePort)
  const args = ["replicate", "--database", database, "--to", to, "--follow", "--metrics-port", String(port)]
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [syncAdmin, ...args], { stdio: ["ignore", "pipe", "pipe"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += String(data)))
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
  const metric = (name: string) =>
    Effect.promise(() =>
      fetch(`http://127.0.0.1:${port}/metrics`).then(
        async (response) =>
          Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(await response.text())?.[1] ?? Number.NaN),
        () => Number.NaN
      )
    )
  yield* until(
    "it serves metrics",
    Effect.map(metric("sealog_standby_behind_seconds"), (value) => !Number.isNaN(value)),
    () => output
  )
  const end = (signal: NodeJS.Signals) =>
    Effect.promise(async () => {
      child.kill(signal)
      return { code: await ended, output }
    })
  return { child, metric, end } satisfies Replicating
})
