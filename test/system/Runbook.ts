/** Runs the commands of a runbook as they stand on its page, with units of a small `systemctl` in place of systemd's. */
import { spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { syncAdmin } from "../support/servers/ServerProcess.ts"

/** Starts and stops the programs in `units/NAME`, with the settings of the env file, as systemd does with its units. */
const SYSTEMCTL = `#!/bin/bash
set -eu
units="$(dirname "$0")/../units"
verb=$1; shift
case "$verb" in
  enable) shift; verb=start ;;
  disable) shift; verb=stop ;;
esac
start() {
  ( set -a; . "$SETTINGS"; set +a
    exec setsid nohup sh "$units/$1" </dev/null >>"$units/$1.log" 2>&1 ) &
  echo $! > "$units/$1.pid"
}
stop() {
  if [ -f "$units/$1.pid" ]; then
    pid=$(cat "$units/$1.pid")
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm -f "$units/$1.pid"
  fi
}
for unit in "$@"; do
  unit=\${unit%.service}
  case "$verb" in
    start) start "$unit" ;;
    stop) stop "$unit" ;;
    restart) stop "$unit"; start "$unit" ;;
    *) echo "no such verb: $verb" >&2; exit 64 ;;
  esac
done
`

/** Prints what a unit has printed. */
const JOURNALCTL = `#!/bin/sh
exec cat "$(dirname "$0")/../units/$2.log"
`

export interface Runbook {
  readonly folder: string
  /** Runs the commands of the next block, and returns what they print. Dies if they fail. */
  readonly next: Effect.Effect<string>
  /** Runs all blocks that are left, and asserts that there were some. */
  readonly rest: Effect.Effect<string>
  /** Goes back to the first block. */
  readonly reopen: () => void
  /** Puts another build of `sync-admin` in the place of this one: commands and units that start from now on use it. */
  readonly install: (program: string) => void
  /** Runs commands that are on no page. */
  readonly run: (commands: string) => Effect.Effect<string>
  /** The process of a unit; undefined: it does not run. */
  readonly pidOf: (unit: string) => number | undefined
  readonly logOf: (unit: string) => string
}

export interface RunbookOptions {
  /** The commands of each unit. */
  readonly units: Readonly<Record<string, string>>
  /** The lines of the units' env file. */
  readonly settings: Readonly<Record<string, string>>
  /** Variables that the page leaves to the operator. */
  readonly variables: (folder: string) => Readonly<Record<string, string>>
}

/** The blocks of a page, in their order. */
const blocksOf = (page: string): ReadonlyArray<string> => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/runbooks", page), "utf8")
  return Array.from(text.matchAll(/^( *)```sh\n(.*?)^ *```/gms), ([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), "")
  )
}

export const openRunbook = Effect.fnUntraced(function* (page: string, { settings, units, variables }: RunbookOptions) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-runbook-"))),
    (folder) =>
      Effect.sync(() => {
        for (const file of readdirSync(join(folder, "units"))) {
          if (file.endsWith(".pid")) kill(Number(readFileSync(join(folder, "units", file), "utf8")))
        }
        rmSync(folder, { recursive: true, force: true })
      })
  )
  const bin = join(folder, "bin")
  for (const name of ["bin", "units", "data", "backups"]) mkdirSync(join(folder, name))
  const script = (name: string, text: string) => writeFileSync(join(bin, name), text, { mode: 0o755 })
  const install = (program: string) => script("sync-admin", `#!/bin/sh\nexec node "${program}" "$@"\n`)
  install(syncAdmin)
  script("systemctl", SYSTEMCTL)
  script("journalctl", JOURNALCTL)
  symlinkSync(process.execPath, join(bin, "node"))
  const file = join(folder, "env")
  const given = Object.entries(settings).map(([name, value]) => `${name}=${value.replaceAll("FOLDER", folder)}\n`)
  writeFileSync(file, given.join(""))
  for (const [name, commands] of Object.entries(units)) writeFileSync(join(folder, "units", name), `exec ${commands}\n`)

  let env: Record<string, string> = {
    ...{ PATH: `${bin}${delimiter}${process.env["PATH"]}`, HOME: folder, SETTINGS: file },
    ...{ BACKUPS: join(folder, "backups"), DATA: join(folder, "data") },
    ...variables(folder)
  }
  /** Runs commands in `bash`, which ends at the first that fails. Variables that they export stay for the next ones. */
  const run = (commands: string) =>
    Effect.promise(
      () =>
        new Promise<string>((resolve, reject) => {
          const kept = join(folder, "kept")
          const child = spawn("bash", ["-euo", "pipefail", "-c", `${commands}\nenv -0 > "${kept}"`], {
            cwd: folder,
            env
          })
          let output = ""
          for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += String(data)))
          child.on("exit", (code) => {
            if (code !== 0) return reject(new Error(`These commands ended with ${code}:\n${commands}\n${output}`))
            const lines = readFileSync(kept, "utf8")
              .split("\0")
              .filter((line) => line.includes("="))
            env = Object.fromEntries(
              lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)])
            )
            resolve(output)
          })
        })
    )

  const blocks = [...blocksOf(page)]
  const reopen = () => void blocks.splice(0, blocks.length, ...blocksOf(page))
  const next = Effect.suspend(() => {
    const block = blocks.shift()
    assert.isDefined(block, `${page} has no more blocks`)
    return run(block ?? "")
  })
  const rest = Effect.gen(function* () {
    assert.isNotEmpty(blocks)
    let output = ""
    while (blocks.length > 0) output += yield* next
    return output
  })
  const pidOf = (unit: string): number | undefined => {
    const path = join(folder, "units", `${unit}.pid`)
    return existsSync(path) ? Number(readFileSync(path, "utf8")) : undefined
  }
  const logOf = (unit: string): string => readFileSync(join(folder, "units", `${unit}.log`), "utf8")
  return { folder, next, rest, reopen, install, run, pidOf, logOf } satisfies Runbook
})

export const kill = (pid: number | undefined): void => {
  try {
    if (pid !== undefined) process.kill(pid, "SIGKILL")
  } catch {
    // It has ended.
  }
}
