/** The server of secsync's setup guide, as a process of its own. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { administer } from "../storage/databases.ts"

export interface GuideServer {
  /** ws://127.0.0.1:PORT */
  readonly url: string
  /** Runs a statement on its database, and returns the rows. */
  readonly query: (text: string) => Effect.Effect<ReadonlyArray<Readonly<Record<string, unknown>>>>
}

/** Starts the server on an empty database, and ends it when the scope closes. */
export const startGuideServer = (database: string): Effect.Effect<GuideServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [join(import.meta.dirname, "guide.ts"), database], {
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) =>
        Effect.callback<void>((resume) => {
          if (child.exitCode !== null) return resume(Effect.void)
          child.on("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        })
    )
    const url = yield* Effect.callback<string>((resume) => {
      child.stdout.on("data", (text) => resume(Effect.succeed(String(text).trim())))
      child.on("exit", (code) => resume(Effect.die(new Error(`The guide's server ended with ${code}`))))
    })
    return { url, query: (text) => administer(text, database) as ReturnType<GuideServer["query"]> }
  })
