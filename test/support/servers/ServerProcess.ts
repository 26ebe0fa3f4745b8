/** `sync-admin` as operators run it: a server in its own process, which a test can kill, and single commands. */
import { execFile, spawn } from "node:child_process"
import { join } from "node:path"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Access } from "@sealog/server/ports/Access"
import { Effect, Redacted, type Scope } from "effect"
import { freePort } from "../network/freePort.ts"
import { TOKEN_SECRET } from "./TestServer.ts"

export const syncAdmin = join(import.meta.dirname, "../../../packages/cli/bin/sync-admin.js")
const env = { ...process.env, TOKEN_SECRET }

export interface ServerProcess {
  /** ws://127.0.0.1:PORT */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Sends SIGKILL, and waits until the process is gone. */
  readonly kill: Effect.Effect<void>
  /** Sends SIGTERM, and waits until the process has finished its work and is gone. */
  readonly stop: Effect.Effect<void>
  /** null: it runs, or a signal ended it. */
  readonly exitCode: () => number | null
  /** All that it has printed. */
  readonly output: () => string
}

export interface ServerProcessOptions {
  /** Default: a free port, which is still free after the server has ended. */
  readonly port?: number
  /** More arguments of `serve`. */
  readonly args?: ReadonlyArray<string>
  /** A program that Node runs in place of `sync-admin`, with the same arguments. */
  readonly program?: ReadonlyArray<string>
  /** More variables of its environment. */
  readonly variables?: Readonly<Record<string, string>>
}

/** Starts a server process, and waits until it listens. */
export const spawnServer = (
  database: string,
  { port, args = [], program = [syncAdmin], variables = {} }: ServerProcessOptions = {}
): Effect.Effect<ServerProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const free = port ?? (yield* Effect.promise(freePort))
    const serve = ["serve", "--port", String(free), "--host", "127.0.0.1", "--database", database, ...args]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [...program, ...serve], {
          env: { ...env, ...variables },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let output = ""
    const listening = yield* Effect.callback<number, Error>((resume) => {
      const look = (chunk: Buffer) => {
        output += String(chunk)
        const found = /Listening on ws:\/\/[^:]+:(\d+)/.exec(output)
        if (found?.[1] !== undefined) resume(Effect.succeed(Number(found[1])))
      }
      child.stdout.on("data", look)
      child.stderr.on("data", look)
      child.on("exit", (code) => resume(Effect.die(new Error(`The server ended with ${code}:\n${output}`))))
    }).pipe(Effect.orDie)
    const end = (signal: NodeJS.Signals) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.on("exit", () => resume(Effect.void))
        child.kill(signal)
      })
    const url = `ws://127.0.0.1:${listening}`
    const [exitCode, printed] = [() => child.exitCode, () => output]
    const ending = { kill: end("SIGKILL"), stop: end("SIGTERM") }
    return { url, port: listening, pid: child.pid!, ...ending, exitCode, output: printed }
  })

/** Runs a command of another build of `sync-admin`, or with more variables, with `--json`. */
export const runCommandOf =
  (program: string, variables: Readonly<Record<string, string>> = {}) =>
  (database: string, ...args: ReadonlyArray<string>) =>
    Effect.callback<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>((resume) => {
      const options = { env: { ...env, ...variables }, maxBuffer: 64 * 1024 * 1024 }
      const all = [program, ...args, "--json", "--database", database]
      execFile(process.execPath, all, options, (error, stdout, stderr) => {
        const exitCode = error === null ? 0 : typeof error.code === "number" ? error.code : -1
        resume(Effect.succeed({ exitCode, stdout, stderr }))
      })
    })

/** Runs a `sync-admin` command with `--json`. */
export const runCommand = runCommandOf(syncAdmin)

/** Signs a token that every test server accepts. */
export const mintToken = (libraryId: string, userId = "somebody") =>
  Effect.flatMap(Access, (access) => access.mint({ userId, libraryId: LibraryId.make(libraryId) })).pipe(
    Effect.provide(JwtAccess.layerTokens([Redacted.make(TOKEN_SECRET)])),
    Effect.orDie
  )
