#!/usr/bin/env node
// Old syntax up to the version check: an older Node must reach the message below, not a syntax error.
var version = process.versions.node.split(".").map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 19)) {
  process.stderr.write(
    "sync-admin needs Node 22.19 or newer, and this is " +
      process.versions.node +
      ". In a clone of the repository, `npx -y pnpm@12.21.0 exec sync-admin` uses the right version.\n"
  )
  process.exit(2)
}
import("./start.js")
