/** Builds the pages into `packages/cli/pages`. */
import { join } from "node:path"
import { build } from "vite"

const configFile = join(import.meta.dirname, "vite.config.ts")
for (const mode of ["notebook", "admin"]) await build({ configFile, mode })
