/** The commands of sync-admin in shell text, held to the command line's surface: the command exists, with these flags and arguments. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

interface Surface {
  readonly args: ReadonlyArray<string>
  /** Name, kind, perhaps `required`, and the values that it may have: "--type option realtime push". */
  readonly flags: ReadonlyArray<string>
}

const surface: Readonly<Record<string, Surface>> = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../packages/cli/command-surface.json"), "utf8")
)

/** A placeholder, a word with its quotes, or a sign between commands. */
const TOKEN = /<\w+>|(?:"[^"]*"|'[^']*'|[^\s"'|;&()<>])+|[|;&()<>]/g

/** The words after each `sync-admin`. */
export const commandsIn = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  text
    .replaceAll("\\\n", " ")
    .split("\n")
    .flatMap((line) => {
      const tokens = line.replace(/(^| )#.*/, "").match(TOKEN) ?? []
      return tokens.flatMap((token, i) => {
        if (!/^(.*\/)?sync-admin(\.js)?$/.test(token)) return []
        const rest = tokens.slice(i + 1)
        const end = rest.findIndex((word) => /^[|;&()<>]$/.test(word))
        return [end < 0 ? rest : rest.slice(0, end)]
      })
    })

/** Returns the reasons why the command line refuses the words. */
export const problemsOf = (words: ReadonlyArray<string>): ReadonlyArray<string> => {
  const length = words.findLastIndex((_, i) => surface[words.slice(0, i + 1).join(" ")] !== undefined) + 1
  const command = surface[words.slice(0, length).join(" ")]
  if (command === undefined) return ["no such command"]
  const flags = new Map(command.flags.map((flag) => [flag.split(" ")[0] ?? "", flag.split(" ").slice(1)]))
  const given = new Set<string>()
  const args: Array<string> = []
  const problems: Array<string> = []
  for (let i = length; i < words.length; i++) {
    const word = words[i] ?? ""
    if (!word.startsWith("--")) {
      args.push(word)
      continue
    }
    const [name = "", value] = word.split("=")
    const [kind, ...rest] = flags.get(name) ?? flags.get(name.replace("--no-", "--")) ?? []
    if (kind === undefined) problems.push(`no flag ${name}`)
    given.add(name)
    if (kind !== "option") continue
    const allowed = rest.filter((text) => text !== "required")
    const set = value ?? words[++i] ?? ""
    if (set === "" || (allowed.length > 0 && !allowed.includes(set))) problems.push(`${name} cannot be ${set}`)
  }
  const missing = [...flags].filter(([name, [, required]]) => required === "required" && !given.has(name))
  problems.push(...missing.map(([name]) => `needs ${name}`))
  const needed = command.args.filter((arg) => !arg.startsWith("["))
  if (args.length < needed.length) problems.push(`needs ${needed.join(" ")}`)
  if (args.length > command.args.length) problems.push(`too many arguments: ${args.join(" ")}`)
  return problems
}
