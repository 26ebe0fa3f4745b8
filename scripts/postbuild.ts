/**
 * Runs after the bundle: writes what `sync-admin` would compute at each start. The manifest of its commands, so that it loads the
 * one that runs; and the help of each command and topic, so that help loads nothing.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const cli = "packages/cli"

/** The widths of terminals that help is written for. bin/start.js takes the widest that fits. */
const WIDTHS = [80, 120]

if (existsSync(join(cli, "bundle/commands"))) {
  execFileSync(process.execPath, ["../../node_modules/oclif/bin/run.js", "manifest", "."], {
    cwd: cli,
    stdio: ["ignore", "ignore", "inherit"]
  })
  // oclif decides about colours when it is loaded. bin/start.js removes them where they are not wanted.
  delete process.env["NO_COLOR"]
  process.env["FORCE_COLOR"] = "1"
  const { helpText } = await import("../packages/cli/src/output/helpText.ts")
  for (const width of WIDTHS) {
    const folder = join(cli, "bundle/help", String(width))
    mkdirSync(folder, { recursive: true })
    for (const words of helpSubjects()) {
      writeFileSync(join(folder, `${["sync-admin", ...words].join("-")}.txt`), await helpText(cli, words, width))
    }
  }
}

/** The words of each command and topic, and none for the help of all. */
function helpSubjects(): ReadonlyArray<ReadonlyArray<string>> {
  const manifest = JSON.parse(readFileSync(join(cli, "oclif.manifest.json"), "utf8"))
  const { oclif } = JSON.parse(readFileSync(join(cli, "package.json"), "utf8"))
  const ids = new Set([...Object.keys(manifest.commands), ...Object.keys(oclif.topics)])
  return [[], ...[...ids].map((id) => id.split(":"))]
}
