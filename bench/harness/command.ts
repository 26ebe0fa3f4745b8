import { spawn } from "node:child_process"
import { cli } from "./servers.ts"

/** Runs `sync-admin`; its stdout and the seconds it took. */
export const runCli = (
  database: string,
  ...args: ReadonlyArray<string>
): Promise<{ stdout: string; seconds: number }> =>
  new Promise((resolve, reject) => {
    const start = performance.now()
    const env = { ...process.env, DATABASE_URL: database }
    const child = spawn(process.execPath, [...cli(...args)], { env, stdio: ["ignore", "pipe", "inherit"] })
    let stdout = ""
    child.stdout.on("data", (data) => {
      stdout += data
    })
    child.once("exit", (code) => {
      if (code === 0) resolve({ stdout, seconds: (performance.now() - start) / 1000 })
      else reject(new Error(`sync-admin ${args.join(" ")} ended with ${code}`))
    })
  })
