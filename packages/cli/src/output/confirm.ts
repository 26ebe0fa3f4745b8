/** Asks before data is deleted for good: the operator types its name. Without a terminal the command fails instead. */
import { createInterface } from "node:readline"
import { CliFailure } from "./CliFailure.ts"
import { escapeControls } from "./format.ts"

/** `action` completes "This would …", as in "evict 3 documents". `name` is the text that the operator must type. */
export const confirm = async (action: string, name: string): Promise<void> => {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CliFailure({
      code: "NOT_CONFIRMED",
      message: `This would ${action}, and there is no terminal to ask for confirmation.`,
      exitCode: 2,
      tryThis: "--dry-run to see what would be deleted, or --yes to confirm"
    })
  }
  const typed = await ask(`This would ${action}. Type ${name} to confirm: `)
  if (typed?.trim() !== name) {
    throw new CliFailure({
      code: "NOT_CONFIRMED",
      message: `${typed === undefined ? "Nothing was typed" : `The name typed is not ${name}`}. Nothing was changed.`,
      exitCode: 1
    })
  }
}

/** The line typed; undefined after Ctrl-C or Ctrl-D. */
const ask = (question: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const prompt = createInterface({ input: process.stdin, output: process.stderr })
    prompt.once("SIGINT", () => prompt.close())
    prompt.once("close", () => {
      process.stderr.write("\n")
      resolve(undefined)
    })
    prompt.question(escapeControls(question), (answer) => {
      prompt.removeAllListeners("close").close()
      resolve(answer)
    })
  })
