/** `sync-admin serve --dev` as a user starts it: a process with an empty folder of its own, on a free port. */
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { freePort } from "../network/freePort.ts"
import { syncAdmin } from "../servers/ServerProcess.ts"

export interface DevServer {
  /** http://localhost:PORT */
  readonly url: string
  /** Where the server keeps `data`, and where commands find its secret. */
  readonly folder: string
  /** Everything that it printed. */
  readonly output: () => string
}

export const startDevServer: (...args: ReadonlyArray<string>) => Effect.Effect<DevServer, never, Scope.Scope> =
  Effect.fnUntraced(function* (...args) {
    const folder = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "sealog-dev-"))),
      (made) => Effect.promise(() => rm(made, { recursive: true, force: true }))
    )
    const port = yield* Effect.promise(freePort)
    const command = [syncAdmin, "serve", "--dev", "--port", `${port}`, ...args]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, command, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })),
      (child) =>
        Effect.callback<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGTERM")
        })
    )
    let output = ""
    yield* Effect.callback<void>((resume) => {
      const look = (text: Buffer) => {
        output += String(text)
        if (output.includes("Stop with Ctrl-C")) resume(Effect.void)
      }
      child.stdout.on("data", look)
      child.stderr.on("data", look)
      child.once("exit", (code) => resume(Effect.die(new Error(`The server ended with ${code}:\n${output}`))))
    })
    return { url: `http://localhost:${port}`, folder, output: () => output }
  })
