/** Writes the commands and flags of `sync-admin`, which docs/cli.md includes, by oclif from the manifest of the last build. */
import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const folder = join(import.meta.dirname, "generated")
const file = join(folder, "commands.md")

mkdirSync(folder, { recursive: true })
writeFileSync(file, "<!-- commands -->\n")
execFileSync(
  process.execPath,
  [join(root, "node_modules/oclif/bin/run.js"), "readme", "--readme-path", file, "--no-aliases", "--no-source-links"],
  // As wide as the column of a page.
  { cwd: join(root, "packages/cli"), env: { ...process.env, COLUMNS: "70" }, stdio: ["ignore", "ignore", "inherit"] }
)
