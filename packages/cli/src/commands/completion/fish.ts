import { BaseCommand } from "../../BaseCommand.ts"
import { fishCompletion } from "../../output/fishCompletion.ts"

interface CompletionFishResult {
  readonly script: string
}

export default class CompletionFish extends BaseCommand<CompletionFishResult> {
  static override summary = "Print a script that completes commands and flags in fish."
  static override description =
    "`sync-admin autocomplete` sets up the other shells: bash, zsh and PowerShell. Print the script again after an update."
  static override examples = [
    "<%= config.bin %> completion fish > ~/.config/fish/completions/sync-admin.fish",
    "<%= config.bin %> completion fish | source"
  ]

  async run(): Promise<CompletionFishResult> {
    await this.parse(CompletionFish)
    const { Config } = await import("@oclif/core/config")
    const { bin, commands, topics } = await Config.load(this.config.root)
    const script = fishCompletion(
      bin,
      commands
        .filter(({ hidden }) => !hidden)
        .map(({ description = "", flags, id, summary = description }) => ({
          name: id.replaceAll(":", " "),
          summary: summary.split("\n")[0] ?? "",
          flags: Object.entries(flags)
            .filter(([, flag]) => !flag.hidden)
            .map(([name, flag]) => ({
              name,
              description: flag.summary ?? flag.description ?? "",
              takesValue: flag.type === "option",
              values: flag.type === "option" ? (flag.options ?? []) : []
            }))
        })),
      topics.map(({ description = "", name }) => ({ name: name.replaceAll(":", " "), description }))
    )
    this.log(script)
    return { script }
  }
}
