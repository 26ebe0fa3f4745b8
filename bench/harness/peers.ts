/** Installs the peers from npm when they are first measured; they are no dependencies of the project. */
import { execFileSync } from "node:child_process"
import { existsSync, statSync } from "node:fs"

const FOLDER = "bench/peers"

export const installPeers = (): void => {
  if (existsSync(`${FOLDER}/prisma/generated`) && installedAt() >= statSync(`${FOLDER}/package.json`).mtimeMs) return
  console.error("Installing the servers to compare with")
  for (const args of [["install"], ["run", "generate"]]) {
    execFileSync("npm", ["--silent", ...args], { cwd: FOLDER, stdio: ["ignore", "ignore", "inherit"] })
  }
}

const installedAt = (): number =>
  statSync(`${FOLDER}/node_modules/.package-lock.json`, { throwIfNoEntry: false })?.mtimeMs ?? 0
