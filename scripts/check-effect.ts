/** Effect's own diagnostics (an Effect that nobody yields, and the like), which neither tsc nor the linter sees. */
import { execFileSync } from "node:child_process"

const projects = [
  "packages/server",
  "packages/storage-sqlite",
  "packages/storage-pg",
  "packages/cli",
  "tsconfig.test.json"
]

for (const project of projects) {
  const path = project.endsWith(".json") ? project : `${project}/tsconfig.json`
  execFileSync("effect-tsgo", ["diagnostics", "--strict", "--severity", "error,warning", "--project", path], {
    stdio: "inherit"
  })
}
