/** Runs the command that the arguments name. `bin/sync-admin.js` loads it from the bundle. */
import { execute } from "@oclif/core"

await execute({ dir: import.meta.url })
