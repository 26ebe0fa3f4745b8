/** Runs the command that the arguments name. `bin/start.js` loads it from the bundle. */
import { execute } from "@oclif/core"
import { surviveClosedOutput } from "./output/surviveClosedOutput.ts"

/** The time in which connections close by themselves after a command's end. */
const GRACE_MILLIS = 1000

surviveClosedOutput()
await execute({ dir: import.meta.url })
// A connection whose network answers no more keeps the process alive. The timer alone does not.
setTimeout(() => process.exit(), GRACE_MILLIS).unref()
