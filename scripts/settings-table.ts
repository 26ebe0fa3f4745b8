/**
 * The tables of docs/settings.md, from the flags of `serve`: `node --conditions=@sealog/source scripts/settings-table.ts` writes
 * them into the page, and `--check` fails if the page holds others.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { BaseCommand } from "../packages/cli/src/BaseCommand.ts"
import Serve from "../packages/cli/src/commands/serve.ts"
import { SECRET_VARIABLES, settingsOf } from "../packages/cli/src/input/settings.ts"

const page = join(import.meta.dirname, "../docs/settings.md")
const [BEGIN, END] = ["<!-- settings -->", "<!-- /settings -->"] as const

const code = (text: string): string => `\`${text}\``

const settingsTable = (): string =>
  tableOf(
    ["flag and key", "variable", "meaning", "default"],
    settingsOf({ ...BaseCommand.baseFlags, ...Serve.flags }).map(
      ({ defaultValue = "", description, isList, name, unit, values, variable }) => [
        code(`--${name}`),
        code(variable),
        [
          description,
          values === undefined ? "" : `: ${values.map(code).join(", ")}`,
          unit === undefined ? "" : `; in ${unit}`,
          isList ? "; a list" : ""
        ].join(""),
        defaultValue
      ]
    )
  )

const secretsTable = (): string =>
  tableOf(
    ["variable", "meaning"],
    SECRET_VARIABLES.map(([variable, meaning]) => [code(variable), meaning])
  )

const tableOf = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = [header, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")))
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`
  return [line(cells[0]!), line(widths.map((width) => "-".repeat(width))), ...cells.slice(1).map(line)].join("\n")
}

const text = readFileSync(page, "utf8")
const [before, after] = [text.slice(0, text.indexOf(BEGIN) + BEGIN.length), text.slice(text.indexOf(END))]
const secrets = "## Secrets\n\nThe environment alone holds these, since a flag shows to every user of the machine.\n\n"
const fresh = `${before}\n\n${settingsTable()}\n\n${secrets}${secretsTable()}\n\n${after}`
if (!process.argv.includes("--check")) writeFileSync(page, fresh)
else if (text !== fresh) {
  console.error("docs/settings.md is old. Try: node --conditions=@sealog/source scripts/settings-table.ts")
  process.exitCode = 1
}
