/** Peers from npm are not the project's own dependencies: they are installed when they are first measured. */
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"

const FOLDER = "bench/peers"

export const installPeers = (): void => {
  if (existsSync(`${FOLDER}/prisma/generated`)) return
  console.error("Installing the servers to measure beside")
  for (const args of [["install"], ["run", "generate"]]) {
    execFileSync("npm", ["--silent", ...args], { cwd: FOLDER, stdio: ["ignore", "ignore", "inherit"] })
  }
}
