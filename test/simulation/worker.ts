/** A thread that runs the worlds that it is given, one after the other. */
import { parentPort } from "node:worker_threads"
import { scriptOf } from "./Script.ts"
import { type Result, type SimulationOptions, simulate } from "./simulate.ts"

/** `isTraced`: every frame is printed. */
export interface World extends Pick<SimulationOptions, "sabotage"> {
  readonly seed: number
  readonly events: number
  readonly isTraced: boolean
}

parentPort!.on("message", ({ events, isTraced, sabotage, seed }: World) => {
  const result: Result = simulate({
    ...{ seed, script: scriptOf(seed, events) },
    ...(sabotage !== undefined && { sabotage }),
    ...(isTraced && { onTrace: console.log })
  })
  parentPort!.postMessage(result)
})
