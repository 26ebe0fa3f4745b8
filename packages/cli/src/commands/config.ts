import { BaseCommand } from "../BaseCommand.ts"
import { withoutCredentials } from "../input/databaseUrl.ts"
import { SECRET_VARIABLES, settingsOf } from "../input/settings.ts"
import { table } from "../output/format.ts"

interface ConfigResult {
  /** The file of settings; null if there is none. */
  readonly file: string | null
  readonly settings: ReadonlyArray<{
    /** The flag, and the key in the file; null for a secret, which is neither. */
    readonly name: string | null
    readonly variable: string
    /** null if it is not set and has no default. A secret that is set is "(hidden)". */
    readonly value: string | null
    readonly from: "environment" | "file" | "default"
  }>
}

export default class Config extends BaseCommand<ConfigResult> {
  static override summary = "Show the settings that `serve` would use, and where each comes from."
  static override description =
    `A setting is a flag of \`serve\`, a variable, and a key in the file of settings. The flag goes first, then the variable, then the file. docs/settings.md lists them all.

Passwords, tokens and secrets are not shown.`
  static override examples = ["<%= config.bin %> config", "<%= config.bin %> config --config /etc/sealog.toml --json"]

  async run(): Promise<ConfigResult> {
    await this.parse(Config)
    const known = settingsOf(this.config.findCommand("serve", { must: true }).flags)
    const units = new Map(known.map(({ unit, variable }) => [variable, unit]))
    const settings = known.map(({ defaultValue = null, name, variable }) => {
      const given = process.env[variable]
      const from = this.fromFile.has(variable) ? "file" : given ? "environment" : "default"
      const value = given ? withoutCredentials(given) : defaultValue
      return { name, variable, value, from } as const
    })
    const secrets = SECRET_VARIABLES.map(([variable]) => {
      const isSet = Boolean(process.env[variable])
      return {
        name: null,
        variable,
        value: isSet ? "(hidden)" : null,
        from: isSet ? "environment" : "default"
      } as const
    })
    const all = [...settings, ...secrets]
    const file = this.settingsFile ?? null
    this.print(file === null ? "No file of settings.\n" : `File of settings: ${file}\n`)
    const sources = { environment: "variable", file, default: "default" } as const
    this.print(
      table(
        ["SETTING", "VALUE", "FROM", "VARIABLE"],
        all.map(({ from, name, value, variable }) => [
          // A secret is a variable alone.
          name ?? "–",
          from === "default" ? (value ?? "not set") : [value, units.get(variable)].join(" ").trimEnd(),
          sources[from] ?? "",
          variable
        ])
      )
    )
    return { file, settings: all }
  }
}
