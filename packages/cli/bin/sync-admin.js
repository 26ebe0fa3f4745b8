#!/usr/bin/env node
// Plain old JavaScript up to the check, so that an older Node can say what is wrong instead of a syntax error.
var version = process.versions.node.split(".").map(Number)
if (version[0] < 22 || (version[0] === 22 && version[1] < 19)) {
  process.stderr.write(
    "sync-admin needs Node 22.19 or newer, and this is " +
      process.versions.node +
      ". In a clone of the repository, `npx -y pnpm@12.21.0 exec sync-admin` brings the right one.\n"
  )
  process.exit(2)
}
import("@oclif/core").then((oclif) => oclif.execute({ dir: import.meta.url }))
