/** Gives a test run one folder for all its temporary files, the processes' that it starts included, and removes it at the end. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"

const PREFIX = "sealog-"

export default (): (() => void) | undefined => {
  // Vitest calls this for each of its projects.
  if (basename(tmpdir()).startsWith(PREFIX)) return undefined
  const folder = mkdtempSync(join(tmpdir(), PREFIX))
  // Postgres does not run as root, and has its data in there.
  chmodSync(folder, 0o755)
  process.env["TMPDIR"] = folder
  return () => {
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    } catch (cause) {
      console.warn(`The temporary files of the tests stay in ${folder}:`, cause)
    }
  }
}
