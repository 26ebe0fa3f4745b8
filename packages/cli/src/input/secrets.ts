/** Token secrets come from the environment or a file, never from a flag, which every user of the machine can read. */
import { randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import * as Redacted from "effect/Redacted"
import { CliFailure } from "../output/CliFailure.ts"

type Secrets = ReadonlyArray<Redacted.Redacted<string>>

/** The secrets in `TOKEN_SECRET`, or in the file that `TOKEN_SECRET_FILE` names; separated by commas during a rotation. */
export const tokenSecrets = (): Secrets => {
  const secrets = findSecrets()
  if (secrets !== undefined) return secrets
  throw noSecret(
    "No secret is set that signs and verifies tokens.",
    "set TOKEN_SECRET (32 bytes or more) or TOKEN_SECRET_FILE; for development, `sync-admin serve --dev` makes a secret"
  )
}

/**
 * A random secret for development, kept in a file, so that tokens outlive a restart. It is never the environment's. The text
 * in the file is only a part of it: a server that gets the file as its `TOKEN_SECRET_FILE` accepts no token of development.
 */
export const devSecrets = (path: string): Secrets => {
  mkdirSync(dirname(path), { recursive: true })
  try {
    writeFileSync(path, randomBytes(32).toString("hex"), { mode: 0o600, flag: "wx" })
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
  }
  return parseSecrets(readFileSync(path, "utf8"), path).map((secret) =>
    Redacted.make(`development only: ${Redacted.value(secret)}`)
  )
}

const findSecrets = (): Secrets | undefined => {
  const { TOKEN_SECRET, TOKEN_SECRET_FILE } = process.env
  if (TOKEN_SECRET) return parseSecrets(TOKEN_SECRET, "TOKEN_SECRET")
  if (!TOKEN_SECRET_FILE) return undefined
  return parseSecrets(readSecretFile(TOKEN_SECRET_FILE), TOKEN_SECRET_FILE)
}

const readSecretFile = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    throw new CliFailure({
      code: "SECRET_FILE_UNREADABLE",
      message: `The file that TOKEN_SECRET_FILE names cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      exitCode: 2,
      tryThis: "set TOKEN_SECRET_FILE to a file that this user can read"
    })
  }
}

/** Fails if the text holds no secret: a server without secrets would start and refuse every client. */
const parseSecrets = (text: string, source: string): Secrets => {
  const secrets = text
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret !== "")
  if (secrets.length === 0) throw noSecret(`${source} holds no secret.`, `put a secret of 32 bytes or more there`)
  return secrets.map((secret) => Redacted.make(secret))
}

const noSecret = (message: string, tryThis: string): CliFailure =>
  new CliFailure({ code: "NO_TOKEN_SECRET", message, exitCode: 2, tryThis })
