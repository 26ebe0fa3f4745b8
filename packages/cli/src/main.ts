/** Runs the command that the arguments name. `bin/start.js` loads it from the bundle. */
import { execute } from "@oclif/core"
import { surviveClosedOutput } from "./output/surviveClosedOutput.ts"

surviveClosedOutput()
await execute({ dir: import.meta.url })
