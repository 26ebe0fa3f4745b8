/** Runs Effect's own diagnostics, such as an Effect that is never run; tsc and the linter do not see these. */
import { spawnSync } from "node:child_process"

const projects = ["server", "storage-sqlite", "storage-pg", "cli"].map((name) => `packages/${name}/tsconfig.json`)

for (const project of [...projects, "tsconfig.test.json"]) {
  const args = ["diagnostics", "--strict", "--severity", "error,warning", "--project", project]
  const { status } = spawnSync("effect-tsgo", args, { stdio: "inherit" })
  if (status !== 0) process.exit(1)
}
