/** Token secrets come from the environment or a file, never from a flag, which every user of the machine can read. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { parseTokenSecrets, type TokenSecret } from "@sealog/server/ports"
import { Redacted } from "effect"
import { CliFailure } from "../output/CliFailure.ts"
import { errorText } from "../output/errorText.ts"

export type Secrets = ReadonlyArray<TokenSecret>

/** Where `serve --dev` keeps its secret, below the current directory. */
export const DEV_SECRET = "./data/dev-secret"

/** The secrets in `TOKEN_SECRET`, or in the file that `TOKEN_SECRET_FILE` names; separated by commas during a rotation. */
export const tokenSecrets = (): Secrets => findTokenSecrets() ?? throwNoSecret()

/** Fails with `NO_TOKEN_SECRET`. */
export const throwNoSecret = (): never => {
  throw noSecret(
    "No secret is set that signs and verifies tokens.",
    "set TOKEN_SECRET (32 bytes or more), TOKEN_SECRET_FILE or, for public keys, TOKEN_JWKS; for development, `sync-admin serve --dev` makes a secret"
  )
}

/** As `throwNoSecret`, for a command that signs: public keys do not help it. */
export const throwNoSigner = (): never => {
  throw noSecret(
    "No secret is set that signs tokens.",
    "set TOKEN_SECRET or TOKEN_SECRET_FILE as on the servers, or sign with a private key: --sign-with; for development, start `sync-admin serve --dev` in this directory, which makes a secret"
  )
}

/** As `tokenSecrets`; undefined if neither variable is set. */
export const findTokenSecrets = (): Secrets | undefined => findSecrets("TOKEN_SECRET")

/** The secrets with which `serve` verifies tokens; none if it has public keys alone. Fails with `NO_TOKEN_SECRET` if it has neither. */
export const serverSecrets = (flags: {
  readonly dev: boolean
  readonly "token-jwks"?: string | undefined
}): Secrets => {
  const secrets = (flags.dev ? devSecrets(DEV_SECRET) : findTokenSecrets()) ?? []
  return secrets.length === 0 && !flags["token-jwks"] ? throwNoSecret() : secrets
}

/** The secrets that sign links to files: `LINK_SECRET`, or the file that `LINK_SECRET_FILE` names. */
export const findLinkSecrets = (): Secrets | undefined => findSecrets("LINK_SECRET")

/**
 * A random secret for development, kept in a file, so that tokens outlive a restart. It is never the environment's. The text
 * in the file is only a part of it: a server that gets the file as its `TOKEN_SECRET_FILE` accepts no token of development.
 */
export const devSecrets = (path: string): Secrets => {
  mkdirSync(dirname(path), { recursive: true })
  try {
    writeFileSync(path, Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex"), {
      mode: 0o600,
      flag: "wx"
    })
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
  }
  return parseSecrets(readFileSync(path, "utf8"), path).map(({ secret }) => ({
    secret: Redacted.make(`development only: ${Redacted.value(secret)}`)
  }))
}

/**
 * As `findTokenSecrets`; in the directory of a server that was started with `--dev`, its secret, which is said on stderr.
 * undefined if there is none of these.
 */
export const findAnySecrets = (): Secrets | undefined => {
  const found = findTokenSecrets()
  if (found !== undefined || !existsSync(DEV_SECRET)) return found
  process.stderr.write(`Uses the secret of \`serve --dev\` in ${DEV_SECRET}, because TOKEN_SECRET is not set.\n`)
  return devSecrets(DEV_SECRET)
}

const findSecrets = (variable: "TOKEN_SECRET" | "LINK_SECRET"): Secrets | undefined => {
  const [text, path] = [process.env[variable], process.env[`${variable}_FILE`]]
  if (text) {
    if (/^\s*(["']).*\1\s*$/s.test(text)) {
      process.stderr.write(
        `${variable} has quotes around it, and they count as a part of it. An env file keeps them.\n`
      )
    }
    return parseSecrets(text, variable)
  }
  return path ? parseSecrets(readSecretFile(path, `${variable}_FILE`), path) : undefined
}

/** The text of a file, which a variable or flag may name. Fails with `SECRET_FILE_UNREADABLE`. */
export const readSecretFile = (path: string, setting?: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    throw new CliFailure({
      code: "SECRET_FILE_UNREADABLE",
      message: `${setting === undefined ? path : `The file that ${setting} names`} cannot be read: ${errorText(error)}`,
      exitCode: 2,
      tryThis: `${setting === undefined ? "" : `set ${setting} to `}a file that this user can read`
    })
  }
}

/** Fails if the text holds no secret: a server without secrets would start and refuse every client. */
const parseSecrets = (text: string, source: string): Secrets => {
  if (text.replaceAll(/[\s,]/g, "") === "") {
    throw noSecret(`${source} holds no secret.`, `put a secret of 32 bytes or more there`)
  }
  const parsed = parseTokenSecrets(text)
  if (parsed._tag === "Success") return parsed.success
  const { advice, message } = parsed.failure
  throw new CliFailure({
    code: "TOKEN_KEYS_INVALID",
    message: `${source} cannot be used: ${message}`,
    exitCode: 2,
    tryThis: advice
  })
}

const noSecret = (message: string, tryThis: string): CliFailure =>
  new CliFailure({ code: "NO_TOKEN_SECRET", message, exitCode: 2, tryThis })
