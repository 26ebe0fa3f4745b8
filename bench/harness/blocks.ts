/**
 * Loaded into a server's process with `--import`: answers each message of the bench with the longest time since the one before
 * for which the event loop did not turn, in milliseconds.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { isMainThread } from "node:worker_threads"

/** Milliseconds between two looks, which the delays include. */
const RESOLUTION = 5

if (isMainThread && process.send !== undefined) {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION })
  delays.enable()
  process.on("message", () => {
    process.send?.(Math.max(0, delays.max / 1e6 - RESOLUTION))
    delays.reset()
  })
  // The server ends when it has nothing left to do.
  process.channel?.unref()
}
