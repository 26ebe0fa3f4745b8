/** Programs that Debian has: a missing one fails the run, and says how to get it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { createConnection } from "node:net"
import { Effect, Schedule, type Scope } from "effect"

const PACKAGES = {
  "redis-server": "redis-server",
  haproxy: "haproxy",
  nginx: "nginx-light",
  zsh: "zsh",
  "swift-proxy-server": "swift-proxy",
  "swift-account-server": "swift-account",
  "swift-container-server": "swift-container",
  "swift-object-server": "swift-object"
} as const
export type Program = keyof typeof PACKAGES

/** Where Debian puts what only root is expected to run. */
const PATH = `${process.env["PATH"]}:/usr/sbin:/sbin`

export const requirePrograms = (path: string = PATH): void => {
  const missing = Object.entries(PACKAGES).filter(([program]) => {
    try {
      execFileSync("/bin/sh", ["-c", `command -v ${program}`], { env: { PATH: path } })
      return false
    } catch {
      return true
    }
  })
  if (missing.length === 0) return
  const packages = missing.map(([, name]) => name).join(" ")
  throw new Error(
    `These tests need programs that are not here. Try: apt-get install --no-install-recommends ${packages}`
  )
}

/** Runs a program in the foreground until the scope closes. */
export const runProgram = (
  program: Program,
  args: ReadonlyArray<string>,
  port: number
): Effect.Effect<{ readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(program, [...args], { env: { ...process.env, PATH }, stdio: ["ignore", "pipe", "pipe"] })
      ),
      // Not killed: nginx would leave its workers.
      (child) => Effect.promise(() => ended(child, "SIGTERM"))
    )
    let output = ""
    child.stdout?.on("data", (data) => (output += data))
    child.stderr?.on("data", (data) => (output += data))
    yield* untilListening(port).pipe(
      Effect.timeoutOrElse({
        duration: "2 minutes",
        orElse: () => Effect.die(new Error(`${program} does not listen: ${output}`))
      })
    )
    return { kill: (signal) => Effect.promise(() => ended(child, signal)) }
  })

const ended = (child: ChildProcess, signal: NodeJS.Signals): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill(signal)
  })

const untilListening = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = createConnection({ port, host: "127.0.0.1" })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.once("error", () => resume(Effect.succeed(false)))
  }).pipe(Effect.repeat({ schedule: Schedule.spaced("30 millis"), until: (listens) => listens }))
