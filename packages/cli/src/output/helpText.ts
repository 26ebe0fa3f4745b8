import { Config } from "@oclif/core/config"
import { Help } from "@oclif/core/help"

/**
 * The help of a command, of a topic, or of all commands without `words`: as oclif prints it to a terminal of this width. `root` is
 * the folder of the package.
 */
export const helpText = async (root: string, words: ReadonlyArray<string>, width: number): Promise<string> => {
  // Printing changes the ids of commands, so each text needs a configuration of its own.
  const help = new TextHelp(await Config.load(root), { maxWidth: width })
  await help.showHelp([...words])
  return help.text
}

class TextHelp extends Help {
  text = ""

  protected override log(text: string): void {
    this.text += `${text}\n`
  }
}
