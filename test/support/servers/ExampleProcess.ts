/** An example app in a process of its own, as a reader starts it. It runs the sources of the packages. */
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { freePort } from "../network/freePort.ts"
import { TOKEN_SECRET } from "./TestServer.ts"

export interface ExampleProcess {
  /** http://localhost:PORT */
  readonly url: string
  readonly port: number
  /** Everything that it printed. */
  readonly output: () => string
  /** Sends SIGTERM, and waits for the exit code. */
  readonly stop: Effect.Effect<number | null>
}

const root = join(import.meta.dirname, "../../..")

/** Starts a program, by its path from the root, and waits until it listens. */
export const startExample: (path: string) => Effect.Effect<ExampleProcess, never, Scope.Scope> = Effect.fnUntraced(
  function* (path) {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "sealog-example-"))),
      (made) => Effect.promise(() => rm(made, { recursive: true, force: true }))
    )
    const port = yield* Effect.promise(freePort)
    const env = {
      ...process.env,
      TOKEN_SECRET,
      PORT: `${port}`,
      DATA: directory,
      DATABASE: join(directory, "sealog.db")
    }
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, ["--conditions=@sealog/source", path], { cwd: root, env })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let output = ""
    const exited = Effect.callback<number | null>((resume) => {
      if (child.exitCode !== null) return resume(Effect.succeed(child.exitCode))
      child.once("exit", (code) => resume(Effect.succeed(code)))
    })
    yield* Effect.callback<void>((resume) => {
      const look = (text: Buffer) => {
        output += String(text)
        if (output.includes(`http://localhost:${port}`)) resume(Effect.void)
      }
      child.stdout.on("data", look)
      child.stderr.on("data", look)
      child.once("exit", (code) => resume(Effect.die(new Error(`The example ended with ${code}:\n${output}`))))
    })
    return {
      url: `http://localhost:${port}`,
      port,
      output: () => output,
      stop: Effect.suspend(() => {
        child.kill("SIGTERM")
        return exited
      })
    }
  }
)
