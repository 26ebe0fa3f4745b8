/** Builds of other revisions, to measure beside this one. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Builds a revision of the repository, if it was not built before. Returns the folder. */
export const buildOf = (revision: string): string => {
  const commit = execFileSync("git", ["rev-parse", `${revision}^{commit}`], { encoding: "utf8" }).trim()
  const folder = join(tmpdir(), "sealog-bench-builds", commit)
  const built = join(folder, ".built")
  if (existsSync(built)) return folder
  console.error(`Building ${revision} in ${folder}`)
  mkdirSync(folder, { recursive: true })
  const archive = execFileSync("git", ["archive", commit], { maxBuffer: 1024 ** 3 })
  execFileSync("tar", ["-x", "-C", folder], { input: archive })
  for (const args of [
    ["install", "--frozen-lockfile"],
    ["run", "build"]
  ]) {
    execFileSync("npx", ["-y", "pnpm@12.21.0", ...args], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] })
  }
  writeFileSync(built, "")
  return folder
}
