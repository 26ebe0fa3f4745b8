/** The settings of `serve`: each is a flag, a variable, and a key of the file of settings. */

/** The part of an oclif flag that a setting needs. The command's manifest has it too. */
interface Flag {
  readonly description?: string | undefined
  readonly env?: string | undefined
  readonly default?: unknown
  readonly type: string
  readonly helpValue?: string | Array<string> | undefined
  readonly multiple?: boolean | undefined
  readonly allowNo?: boolean | undefined
  readonly options?: ReadonlyArray<string> | undefined
}

export interface Setting {
  /** The flag without its dashes, which is the key in the file. */
  readonly name: string
  readonly variable: string
  /** undefined: none, or the description says when the server chooses one. */
  readonly defaultValue: string | undefined
  readonly description: string
  /** The unit of its value, such as "MiB". A default has its unit in the text. */
  readonly unit: string | undefined
  /** The values that it can have; undefined: any that its parser takes. */
  readonly values: ReadonlyArray<string> | undefined
  readonly isList: boolean
}

/** Neither is a setting of a server: the file itself, and the mode that no server in production has. */
const NO_SETTINGS = ["config", "dev", "json"]

/** Secrets that the environment alone may hold: a flag shows to every user of the machine, and a file of settings is copied. */
export const SECRET_VARIABLES: ReadonlyArray<readonly [variable: string, description: string]> = [
  ["TOKEN_SECRET", "secrets that sign and verify tokens, 32 bytes or more, separated by commas"],
  ["LINK_SECRET", "secrets that sign links to files (default: the token secrets)"],
  ["SEALOG_METRICS_TOKEN", "token that a scraper of the metrics sends, 16 characters or more"],
  ["S3_ACCESS_KEY_ID", "id of the key to the bucket (default: the role of the machine)"],
  ["S3_SECRET_ACCESS_KEY", "key to the bucket"],
  ["PGPASSWORD", "password of a Postgres URL that has none"]
]

/** The settings among the flags of `serve`, as its class or its manifest has them. */
export const settingsOf = (flags: Readonly<Record<string, Flag>>): ReadonlyArray<Setting> =>
  Object.entries(flags).flatMap(([name, flag]) => {
    if (NO_SETTINGS.includes(name)) return []
    const isSwitch = flag.type === "boolean"
    const [whole = "", said] = / \((?:can be repeated; )?default: (.*)\)$/.exec(flag.description ?? "") ?? []
    return [
      {
        name,
        variable: flag.env ?? "",
        description: (flag.description ?? "").slice(0, (flag.description ?? "").length - whole.length),
        // A manifest has no defaults of switches. A switch that can be turned off is on.
        defaultValue: isSwitch ? String(flag.allowNo === true) : (flag.default ?? said)?.toString(),
        unit: flag.helpValue?.toString().replaceAll(/[<>]/g, ""),
        values: isSwitch ? ["true", "false"] : flag.options,
        isList: flag.multiple === true
      }
    ]
  })
