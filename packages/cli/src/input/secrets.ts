/** Token secrets: from the environment or a file, never from a flag, where every user of the machine could read them. */
import { randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import * as Redacted from "effect/Redacted"
import { CliFailure } from "../output/CliFailure.ts"

type Secrets = ReadonlyArray<Redacted.Redacted<string>>

/** `TOKEN_SECRET`, or the content of `TOKEN_SECRET_FILE`; several, separated by commas, while they are rotated. */
export const tokenSecrets = (): Secrets => {
  const secrets = findSecrets()
  if (secrets !== undefined) return secrets
  throw noSecret(
    "There is no secret to sign and verify tokens with.",
    "set TOKEN_SECRET (32 bytes or more) or TOKEN_SECRET_FILE; for a first look, `sync-admin serve --dev` makes one"
  )
}

/** The secrets of the environment; else one that is made once and kept, so that printed tokens outlive a restart. */
export const devSecrets = (path: string): Secrets => {
  const secrets = findSecrets()
  if (secrets !== undefined) return secrets
  mkdirSync(dirname(path), { recursive: true })
  try {
    writeFileSync(path, randomBytes(32).toString("hex"), { mode: 0o600, flag: "wx" })
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
  }
  return someOf(readFileSync(path, "utf8"), path)
}

const findSecrets = (): Secrets | undefined => {
  const { TOKEN_SECRET, TOKEN_SECRET_FILE } = process.env
  if (TOKEN_SECRET) return someOf(TOKEN_SECRET, "TOKEN_SECRET")
  if (!TOKEN_SECRET_FILE) return undefined
  return someOf(readSecretFile(TOKEN_SECRET_FILE), TOKEN_SECRET_FILE)
}

const readSecretFile = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    throw new CliFailure({
      code: "SECRET_FILE_UNREADABLE",
      message: `TOKEN_SECRET_FILE cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      exitCode: 2,
      tryThis: "a file that this user can read"
    })
  }
}

/** At least one: a server without any would start and refuse everybody. */
const someOf = (text: string, source: string): Secrets => {
  const secrets = text
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret !== "")
  if (secrets.length === 0) throw noSecret(`There is no secret in ${source}.`, `put one of 32 bytes or more there`)
  return secrets.map((secret) => Redacted.make(secret))
}

const noSecret = (message: string, tryThis: string): CliFailure =>
  new CliFailure({ code: "NO_TOKEN_SECRET", message, exitCode: 2, tryThis })
