/** Starts the command line with as little as the arguments need. */
import { readFileSync } from "node:fs"
import { enableCompileCache } from "node:module"
import { homedir } from "node:os"
import { join } from "node:path"

const [first = "", ...rest] = process.argv.slice(2)

if (["--version", "-v", "version"].includes(first) && rest.length === 0) {
  const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
  console.log(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}`)
} else {
  if (first === "help") process.argv.splice(2, process.argv.length, ...rest, "--help")
  // The user's own folder: a cache that others can write to, such as one in /tmp, could hold their code.
  enableCompileCache(join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sync-admin", "compiled"))
  await import("../bundle/main.js")
}
