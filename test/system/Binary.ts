/** Programs of Debian packages. If one is missing, the run fails and names the packages to install. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { createConnection } from "node:net"
import { Effect, Schedule, type Scope } from "effect"

const PACKAGES = {
  "redis-server": "redis-server",
  haproxy: "haproxy",
  nginx: "nginx-light",
  caddy: "caddy",
  zsh: "zsh",
  fish: "fish",
  "swift-proxy-server": "swift-proxy",
  "swift-account-server": "swift-account",
  "swift-container-server": "swift-container",
  "swift-object-server": "swift-object",
  prometheus: "prometheus",
  promtool: "prometheus",
  pgbouncer: "pgbouncer",
  pg_dump: "postgresql",
  psql: "postgresql-client",
  curl: "curl",
  chromium: "chromium",
  "mkfs.ext4": "e2fsprogs"
} as const
export type Program = keyof typeof PACKAGES

/** The search path, with the folders in which Debian keeps programs for root. */
export const PATH = `${process.env["PATH"]}:/usr/sbin:/sbin`

/** Throws if a program is missing. `packages`: the Debian package of each program. */
export const requirePrograms = (path: string = PATH, packages: Readonly<Record<string, string>> = PACKAGES): void => {
  const missing = Object.entries(packages).filter(([program]) => {
    try {
      execFileSync("/bin/sh", ["-c", `command -v ${program}`], { env: { PATH: path } })
      return false
    } catch {
      return true
    }
  })
  if (missing.length === 0) return
  const names = [...new Set(missing.map(([, name]) => name))].join(" ")
  throw new Error(`These tests need programs that are not here. Try: apt-get install --no-install-recommends ${names}`)
}

/** Runs a program to its end, and returns its output. Throws with its output if it fails. */
export const runToEnd = (program: Program, args: ReadonlyArray<string>): string =>
  execFileSync(program, [...args], { env: { ...process.env, PATH }, encoding: "utf8" })

/** Runs a program until the scope closes, and returns once it listens on the port. */
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
      // SIGTERM and not SIGKILL, which would leave nginx's workers running.
      (child) => Effect.promise(() => ended(child, "SIGTERM"))
    )
    let output = ""
    child.stdout?.on("data", (data) => (output += data))
    child.stderr?.on("data", (data) => (output += data))
    const exited = Effect.callback<never>((resume) => {
      child.once("close", () => resume(Effect.die(new Error(`${program} ended: ${output}`))))
    })
    yield* untilListening(port).pipe(
      Effect.raceFirst(exited),
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
