/** The health of a server with workers. */
import type { Health } from "../ports/Workers.ts"

/** A worker that runs; `health` is undefined if it does not answer. */
export interface WorkerHealth {
  readonly number: number
  readonly health: Health | undefined
}

/**
 * Unhealthy if a worker is, because some clients are not served then. A worker that has ended makes a warning: its clients have
 * gone to the others. `count`: the workers that should run.
 */
export const combineHealth = (workers: ReadonlyArray<WorkerHealth>, count: number): Health => {
  if (workers.length === 0) return { status: "unhealthy", reason: "no worker runs; the server log says why" }
  const warnings: Array<string> = []
  for (const { health, number } of workers) {
    if (health === undefined) return { status: "unhealthy", reason: `worker ${number} does not answer` }
    if (health.status === "unhealthy") return { status: "unhealthy", reason: `worker ${number}: ${health.reason}` }
    if (health.warning !== undefined && !warnings.includes(health.warning)) warnings.push(health.warning)
  }
  const missing = count - workers.length
  if (missing > 0) warnings.unshift(`${missing} of ${count} workers ended, and the server starts them again`)
  return warnings.length === 0 ? { status: "ok" } : { status: "ok", warning: warnings.join("; ") }
}
