/** Installs the peers from npm when they are first measured; they are no dependencies of the project. */
import { execFileSync } from "node:child_process"
import { existsSync, statSync } from "node:fs"
import { delimiter, dirname } from "node:path"

const FOLDER = "bench/peers"

/** The Node that installs the peers, and runs those with better-sqlite3, which is machine code for one version of Node. */
export const PEER_NODE = process.env["BENCH_PEER_NODE"] ?? process.execPath

export const installPeers = (): void => {
  if (existsSync(`${FOLDER}/prisma/generated`) && installedAt() >= statSync(`${FOLDER}/package.json`).mtimeMs) return
  console.error("Installing the servers to compare with")
  for (const args of [["install"], ["run", "generate"]]) {
    // `npm` runs in the first Node of the path.
    const env = { ...process.env, PATH: `${dirname(PEER_NODE)}${delimiter}${process.env["PATH"]}` }
    execFileSync("npm", ["--silent", ...args], { cwd: FOLDER, env, stdio: ["ignore", "ignore", "inherit"] })
  }
}

const installedAt = (): number =>
  statSync(`${FOLDER}/node_modules/.package-lock.json`, { throwIfNoEntry: false })?.mtimeMs ?? 0
