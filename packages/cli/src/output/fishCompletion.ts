/** A script that completes the commands and flags of `sync-admin` in fish. */

export interface CompletedCommand {
  /** The words of the command: "library list". */
  readonly name: string
  readonly summary: string
  readonly flags: ReadonlyArray<{
    readonly name: string
    readonly description: string
    readonly takesValue: boolean
    readonly values: ReadonlyArray<string>
  }>
}

/** `topics`: the first words of commands with several, and their descriptions. */
export const fishCompletion = (
  bin: string,
  commands: ReadonlyArray<CompletedCommand>,
  topics: ReadonlyArray<{ readonly name: string; readonly description: string }>
): string => {
  const named = commands.map(({ name, summary }) => ({ name, description: summary }))
  const words = [...named, ...topics.filter((topic) => named.every(({ name }) => name !== topic.name))]
  const lines = words.map(({ description, name }) => {
    const [last = "", ...before] = name.split(" ").toReversed()
    return `complete -c ${bin} -f -n '__${FUNCTION}_follows ${before.toReversed().join(" ")}' -a ${quoted(last)} -d ${quoted(description)}`
  })
  const flags = commands.flatMap((command) =>
    command.flags.map(({ description, name, takesValue, values }) =>
      [
        `complete -c ${bin} -n '__${FUNCTION}_in ${command.name}' -l ${name} -d ${quoted(description)}`,
        ...(takesValue ? ["-r"] : []),
        ...(values.length > 0 ? ["-f", "-a", quoted(values.join(" "))] : [])
      ].join(" ")
    )
  )
  return [...FUNCTIONS, ...lines, ...flags].join("\n")
}

const FUNCTION = "sync_admin"

/** `follows` is true after exactly these words, and `in` after these words and any others. Neither counts flags. */
const FUNCTIONS = [
  `function __${FUNCTION}_words`,
  "  for word in (commandline -opc)[2..]",
  "    string match -q -- '-*' $word; or echo $word",
  "  end",
  "end",
  `function __${FUNCTION}_follows`,
  `  test "$(__${FUNCTION}_words | string join ' ')" = "$argv"`,
  "end",
  `function __${FUNCTION}_in`,
  `  string match -q -- "$argv *" "$(__${FUNCTION}_words | string join ' ') "`,
  "end"
]

const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`
