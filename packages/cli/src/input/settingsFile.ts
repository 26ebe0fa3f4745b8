/** The file of settings, `sealog.toml`: its keys are the names of `serve`'s flags, and stand for their variables. */
import { readFileSync } from "node:fs"
import { parse, TomlError, type TomlValue } from "smol-toml"
import { CliFailure } from "../output/CliFailure.ts"
import { errorText } from "../output/errorText.ts"
import { nearest } from "../output/nearest.ts"
import type { Setting } from "./settings.ts"

/**
 * Gives each variable that the environment lacks the value in the file. Returns the names of these variables. Fails with
 * `SETTINGS_UNREADABLE` or `SETTINGS_INVALID`.
 */
export const useSettingsFile = (
  path: string,
  settings: ReadonlyArray<Setting>,
  env: NodeJS.ProcessEnv = process.env
): ReadonlySet<string> => {
  const variables = new Map(settings.map(({ name, variable }) => [name, variable]))
  const fromFile = new Set<string>()
  for (const [key, value] of entriesOf(parsed(path))) {
    const variable = variables.get(key)
    if (variable === undefined) throw noSuchKey(path, key, [...variables.keys()])
    const text = textOf(value)
    if (text === undefined) {
      throw invalid(`${path}: the value of ${key} is neither a text, a number, a boolean, nor a list of texts.`)
    }
    // An empty variable counts as none, as it does for flags.
    if (env[variable]) continue
    env[variable] = text
    fromFile.add(variable)
  }
  return fromFile
}

const parsed = (path: string) => {
  try {
    return parse(readFileSync(path, "utf8"))
  } catch (error) {
    if (error instanceof TomlError) throw invalid(`${path} is not TOML: ${error.message}`)
    throw new CliFailure({
      code: "SETTINGS_UNREADABLE",
      message: `The file of settings cannot be read: ${errorText(error)}`,
      exitCode: 2,
      tryThis: "--config with a file that exists and that this user can read"
    })
  }
}

/** The keys of a table are joined to its name: `[token]` with `issuer` is `token-issuer`. */
const entriesOf = (
  table: Readonly<Record<string, TomlValue>>,
  prefix = ""
): ReadonlyArray<readonly [string, TomlValue]> =>
  Object.entries(table).flatMap(([key, value]) =>
    isTable(value) ? entriesOf(value, `${prefix}${key}-`) : [[`${prefix}${key}`, value] as const]
  )

const isTable = (value: TomlValue): value is Record<string, TomlValue> =>
  typeof value === "object" && !Array.isArray(value) && !(value instanceof Date)

/** The value as a variable holds it. undefined: no setting has such a value. */
const textOf = (value: TomlValue): string | undefined => {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value)
  if (!Array.isArray(value)) return undefined
  return value.every((part) => typeof part === "string" && !part.includes(",")) ? value.join(",") : undefined
}

const noSuchKey = (path: string, key: string, keys: ReadonlyArray<string>): CliFailure => {
  const meant = keys.find((known) => known === `${key}-file`) ?? nearest(key, keys)
  return invalid(
    `${path}: ${key} is no setting.`,
    meant === undefined ? "the names of the flags that `sync-admin serve --help` shows" : meant
  )
}

const invalid = (message: string, tryThis = "docs/settings.md, which has every key and its values"): CliFailure =>
  new CliFailure({ code: "SETTINGS_INVALID", message, exitCode: 2, tryThis })
