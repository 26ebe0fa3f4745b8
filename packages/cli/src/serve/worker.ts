/** `serve` in a process that the parent started: the same server, on the parent's connections and with its share of the limits. */
import type { SocketLimits } from "@sealog/server"
import { joinParent, limitsOfWorker, type WorkerNumber } from "@sealog/server/workers"
import { Effect } from "effect"
import type { LevelSwitch } from "../output/logger.ts"

export const joinAs = (worker: WorkerNumber) => {
  const { layer, onLogLevel, stopped } = joinParent()
  // The parent tells the level. A signal to all processes of a service would change it twice.
  process.on("SIGUSR2", () => {})
  const levels: LevelSwitch = (change) => {
    onLogLevel(change)
    return () => {}
  }
  return {
    limits: (limits: Partial<SocketLimits>) => limitsOfWorker(limits, worker),
    layer,
    levels,
    /** Runs until the parent ends it, or is gone. */
    run: <A, E>(serving: Effect.Effect<A, E>) =>
      Effect.annotateLogs(Effect.raceFirst(serving, stopped), { worker: worker.number })
  }
}
