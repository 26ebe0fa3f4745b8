/** Before something is gone for good, its name is typed again; without a terminal there is nobody to ask. */
import { createInterface } from "node:readline"
import { CliFailure } from "./CliFailure.ts"

/** `act`: what would be done, as in "evict 3 documents"; `name`: what has to be typed. */
export const confirm = async (act: string, name: string): Promise<void> => {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CliFailure({
      code: "NOT_CONFIRMED",
      message: `This would ${act}, and there is no terminal to ask at.`,
      exitCode: 2,
      tryThis: "--yes, or --dry-run to see what would go"
    })
  }
  const typed = await ask(`This would ${act}. Type ${name} to go on: `)
  if (typed?.trim() !== name) {
    throw new CliFailure({
      code: "NOT_CONFIRMED",
      message: `${typed === undefined ? "Nothing was typed" : `That is not ${name}`}; nothing was done.`,
      exitCode: 1
    })
  }
}

/** The line typed; undefined when the prompt was left with Ctrl-C or Ctrl-D. */
const ask = (question: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const prompt = createInterface({ input: process.stdin, output: process.stderr })
    prompt.once("SIGINT", () => prompt.close())
    prompt.once("close", () => {
      process.stderr.write("\n")
      resolve(undefined)
    })
    prompt.question(question, (answer) => {
      prompt.removeAllListeners("close").close()
      resolve(answer)
    })
  })
