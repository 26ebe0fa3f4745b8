/** Runs a world for each seed, on a thread for each core. */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import type { Result } from "./simulate.ts"
import type { World } from "./worker.ts"

export interface Worlds extends Omit<World, "seed"> {
  readonly seeds: number
  /** The first seed. */
  readonly from: number
}

/** Ends after the last world, or soon after `onResult` returns false. Results come in any order. */
export const simulateAll = async (
  { from, seeds, ...options }: Worlds,
  onResult: (result: Result) => boolean
): Promise<void> => {
  const end = from + seeds
  let next = from
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { execArgv: ["--conditions=@sealog/source"] })
      const proceed = (): void => {
        if (next < end) worker.postMessage({ ...options, seed: next++ } satisfies World)
        else void worker.terminate().then(() => resolve(), reject)
      }
      worker.on("error", reject)
      worker.on("message", (result: Result) => {
        if (!onResult(result)) next = end
        proceed()
      })
      proceed()
    })
  await Promise.all(Array.from({ length: Math.min(seeds, availableParallelism()) }, work))
}
