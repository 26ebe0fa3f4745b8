/** Starts loads in processes of their own, so that their work does not count as the server's. */
import { spawn } from "node:child_process"

/** Runs `bench/load.ts` and returns its last line, which is JSON. */
export const generate = <Out>(kind: string, options: object): Promise<Out> => {
  const load = startLoad<Out>(kind, options)
  load.go()
  return load.done
}

export interface RunningLoad<Out> {
  /** Resolves when the load is ready to be measured. */
  readonly ready: Promise<void>
  /** Starts the measured part of a ready load. */
  readonly go: () => void
  readonly done: Promise<Out>
}

export const startLoad = <Out>(kind: string, options: object): RunningLoad<Out> => {
  const child = spawn(process.execPath, ["--max-old-space-size=4096", "bench/load.ts", kind, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  let output = ""
  const ready = Promise.withResolvers<void>()
  const done = Promise.withResolvers<Out>()
  child.stdout.on("data", (data) => {
    output += data
    if (output.includes("ready\n")) ready.resolve()
  })
  child.once("exit", (code, signal) => {
    ready.resolve()
    if (code === 0) done.resolve(JSON.parse(output.trim().split("\n").at(-1) ?? ""))
    else done.reject(new Error(`The load ${kind} ended with ${code ?? signal}`))
  })
  return { ready: ready.promise, go: () => child.stdin.write("go\n"), done: done.promise }
}
