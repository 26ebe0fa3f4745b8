/** Runs the Effects of commands. A command without one does not load this: Effect takes nearly as long to load as Node. */
import { hasInterruptsOnly, squash } from "effect/Cause"
import { type Effect, provide, runPromiseExit } from "effect/Effect"
import { type Exit, isFailure, isSuccess } from "effect/Exit"
import { formatLogFmt, layer, map, withConsoleError } from "effect/Logger"
import { CliFailure } from "./output/CliFailure.ts"
import { escapeControls } from "./output/format.ts"

/** Runs an Effect. SIGINT, SIGTERM and SIGHUP interrupt it; then it fails with `INTERRUPTED`. */
export const run = async <A, E>(effect: Effect<A, E>): Promise<A> => {
  const exit = await runToExit(effect)
  if (isSuccess(exit)) return exit.value
  if (hasInterruptsOnly(exit.cause)) {
    throw new CliFailure({
      code: "INTERRUPTED",
      message: "A signal stopped the command before its end. The steps that it finished are kept.",
      exitCode: 1,
      tryThis: "run the same command again; it goes on with the remaining steps"
    })
  }
  throw squash(exit.cause)
}

/** Runs an Effect until it ends, or until one of these signals stops it, which is a success. */
export const runUntilStopped = async <E>(effect: Effect<unknown, E>): Promise<void> => {
  const exit = await runToExit(effect)
  if (isFailure(exit) && !hasInterruptsOnly(exit.cause)) throw squash(exit.cause)
}

/** A terminal that closes sends SIGHUP. */
const STOPPING = ["SIGINT", "SIGTERM", "SIGHUP"] as const

const runToExit = async <A, E>(effect: Effect<A, E>): Promise<Exit<A, E>> => {
  const controller = new AbortController()
  const stop = () => controller.abort()
  for (const signal of STOPPING) process.once(signal, stop)
  // Log lines go to stderr: stdout carries the command's output alone.
  const logged = provide(effect, layer([withConsoleError(map(formatLogFmt, escapeControls))]))
  const exit = await runPromiseExit(logged, { signal: controller.signal })
  for (const signal of STOPPING) process.off(signal, stop)
  return exit
}
