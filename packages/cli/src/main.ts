/** Runs the command that the arguments name. `bin/start.js` loads it from the bundle. */
import { fileURLToPath } from "node:url"
import { directCommand } from "./directCommand.ts"
import { surviveClosedOutput } from "./output/surviveClosedOutput.ts"

/** The time in which connections close by themselves after a command's end. */
const GRACE_MILLIS = 1000

surviveClosedOutput()
// Node ends with code 0 when nothing is left that it could wait for, also in the middle of a command.
const endUnfinished = () => {
  process.stderr.write("The command ended before its work was done, by a fault of its own. Run it again.\n")
  process.exitCode = 1
}
process.once("beforeExit", endUnfinished)
// The reader of the output has gone, and oclif waits for it in vain.
process.stdout.once("error", () => void process.off("beforeExit", endUnfinished))
const root = fileURLToPath(new URL("..", import.meta.url))
const command = await directCommand(root, process.argv.slice(2))
if (command === undefined) {
  const { execute } = await import("@oclif/core/execute")
  await execute({ dir: import.meta.url })
} else {
  await command.start()
}
process.off("beforeExit", endUnfinished)
// A connection whose network answers no more keeps the process alive. The timer alone does not.
setTimeout(() => process.exit(), GRACE_MILLIS).unref()
