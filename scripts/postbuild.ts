/** Runs after the bundle: writes the CLI's command manifest, so that `sync-admin` starts without loading every command. */
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"

if (existsSync("packages/cli/bundle/commands")) {
  execFileSync(process.execPath, ["../../node_modules/oclif/bin/run.js", "manifest", "."], {
    cwd: "packages/cli",
    stdio: ["ignore", "ignore", "inherit"]
  })
}
