/** The database that a URL names, as people write it, and what to write instead where it has two meanings. */
import { homedir } from "node:os"
import { join } from "node:path"
import { CliFailure } from "../output/CliFailure.ts"

export type Database =
  | { readonly kind: "sqlite"; readonly filename: string }
  | { readonly kind: "postgres"; readonly url: string }

/**
 * Fails with `DATABASE_URL_INVALID`. Messages leave out the URL, which may hold a password. A Postgres URL without a password
 * gets the one of `PGPASSWORD`, as with Postgres' own programs.
 */
export const databaseOf = (given: string, env: NodeJS.ProcessEnv = process.env): Database => {
  // A file with Windows line ends leaves a carriage return at the end of each variable.
  const url = given.trim()
  if (/^(["']).*\1$/s.test(url)) {
    throw invalid(
      "The database URL has quotes around it.",
      "write it without quotes: an env file keeps them as a part of the value"
    )
  }
  if (url.startsWith("sqlite:") && url.length > "sqlite:".length) return sqlite(url.slice("sqlite:".length))
  if (/^postgres(ql)?:\/\//.test(url)) return postgres(url, env["PGPASSWORD"])
  throw invalid(
    "The database URL has neither the form sqlite:PATH nor postgres://USER:PASSWORD@HOST:PORT/NAME.",
    `--database sqlite:${PLAIN_PATH.test(url) ? url : "./data/sealog.db"}`
  )
}

/** A path that holds no password for sure. */
const PLAIN_PATH = /^[\w./~-]+$/

const sqlite = (path: string): Database => {
  if (/^\/\/[^/]/.test(path)) {
    const rest = path.slice(2).replace(/^\.\//, "")
    throw invalid(
      "A database URL that begins with sqlite:// names either a relative or an absolute path.",
      `sqlite:./${rest} below the current directory, or sqlite:/${rest}`
    )
  }
  const plain = path.replace(/^\/\/(?=\/)/, "")
  // A shell expands ~ at the start of a word only.
  return { kind: "sqlite", filename: /^~(\/|$)/.test(plain) ? join(homedir(), plain.slice(1)) : plain }
}

const postgres = (url: string, password: string | undefined): Database => {
  const [, authority = ""] = /^\w+:\/\/([^/?#]*)/.exec(url) ?? []
  const isCut = !authority.includes("@") && url.includes("@")
  if (isCut || /%(?![\da-f]{2})/i.test(url) || authority.split("@").length > 2) {
    throw invalid(
      "The password in the database URL holds a character that has another meaning there.",
      "write % as %25, / as %2F, # as %23, ? as %3F and @ as %40, or leave the password out and set PGPASSWORD"
    )
  }
  if (authority.split("@").at(-1)?.includes(",")) {
    throw invalid(
      "The database URL names several hosts.",
      "the one host that accepts writes, or an address that leads there, such as a proxy's"
    )
  }
  if (URL.canParse(url)) {
    const parsed = new URL(url)
    if (!password || parsed.password !== "" || parsed.searchParams.has("password")) return { kind: "postgres", url }
    parsed.searchParams.set("password", password)
    return { kind: "postgres", url: parsed.href }
  }
  throw invalid(
    "The database URL does not have the form postgres://USER:PASSWORD@HOST:PORT/NAME.",
    "postgres://sealog@localhost:5432/sealog, with the password in PGPASSWORD"
  )
}

/** A URL without its password and parameters, to show to people. Another text stays as it is. */
export const withoutCredentials = (text: string): string => {
  if (!/^[\w+.-]+:\/\/.*[@?]/s.test(text)) return text
  const parsed = URL.parse(text)
  if (parsed === null) return text.replace(/\/\/.*@/s, "//…@")
  parsed.password = ""
  // A password can also be a parameter, and other parameters can hold private paths.
  parsed.search = ""
  return parsed.href
}

const invalid = (message: string, tryThis: string): CliFailure =>
  new CliFailure({ code: "DATABASE_URL_INVALID", message, exitCode: 2, tryThis })
