/** Prints help. A command that does not exist is answered with the nearest one, as it is without `--help`. */
import { CLIError } from "@oclif/core/errors"
import { Help } from "@oclif/core/help"

export default class HelpOrAdvice extends Help {
  override async showHelp(argv: string[]): Promise<void> {
    try {
      await super.showHelp(argv)
    } catch (error) {
      if (!(error instanceof CLIError)) throw error
      const id = argv.filter((arg) => !arg.startsWith("-")).join(":")
      await this.config.runHook("command_not_found", { id, argv })
    }
  }
}
