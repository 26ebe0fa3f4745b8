/** Starts loads in processes of their own: what they do costs the server's process nothing. */
import { spawn } from "node:child_process"

/** Runs `bench/load.ts` and gives what it printed last, a JSON line. */
export const generate = <Out>(kind: string, options: object): Promise<Out> => {
  const load = startLoad<Out>(kind, options)
  load.go()
  return load.done
}

export interface RunningLoad<Out> {
  /** Done when the load has said that it is ready to be measured. */
  readonly ready: Promise<void>
  /** Lets one that is ready go on. */
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
