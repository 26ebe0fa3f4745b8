import { spawn } from "node:child_process"
import { cli } from "./servers.ts"

export interface RanCli {
  readonly stdout: string
  readonly seconds: number
  /** Processor time of all threads of the command, without a database server's. */
  readonly cpuSeconds: number
}

/** Makes a process write its processor time, in microseconds, to file descriptor 3 when it exits. */
const USAGE = `data:text/javascript,
import { writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
const write = () => {
  const { user, system } = process.cpuUsage();
  writeSync(3, String(user + system));
};
if (isMainThread) process.on("exit", write);`

/** Runs `sync-admin` on a database. Rejects when the command fails. */
export const runCli = (database: string, ...args: ReadonlyArray<string>): Promise<RanCli> =>
  runNode(cli(...args), { DATABASE_URL: database })

/** Runs Node with these arguments. Rejects when it fails. */
export const runNode = (args: ReadonlyArray<string>, variables: Readonly<Record<string, string>>): Promise<RanCli> =>
  new Promise((resolve, reject) => {
    const start = performance.now()
    const env = { ...process.env, ...variables }
    const command = ["--import", USAGE, ...args]
    const child = spawn(process.execPath, command, { env, stdio: ["ignore", "pipe", "inherit", "pipe"] })
    let [stdout, used] = ["", ""]
    child.stdio[1]?.on("data", (data) => {
      stdout += data
    })
    child.stdio[3]?.on("data", (data) => {
      used += data
    })
    let seconds = Number.NaN
    child.once("exit", () => {
      seconds = (performance.now() - start) / 1000
    })
    child.once("close", (code) => {
      if (code === 0) resolve({ stdout, seconds, cpuSeconds: Number(used) / 1e6 })
      else reject(new Error(`node ${args.join(" ")} ended with ${code}`))
    })
  })
