/** The database that `--to` names, into which a command copies the log of `--database`. */
import { statSync } from "node:fs"
import type { MigrationStatus } from "@sealog/server/storage"
import { databaseOf } from "../input/databaseUrl.ts"
import { CliFailure, failureOf } from "../output/CliFailure.ts"
import { type Backend, backendOf } from "./storage.ts"

/**
 * The storage that `--to` gives, or names: `env:NAME` keeps a password out of the list of processes. Fails with `SAME_DATABASE` if
 * it is the one of `--database`, which a command would else make a standby of itself.
 */
export const copyTargetOf = async (to: string, from: string): Promise<Backend> => {
  const url = to.startsWith("env:") ? (process.env[to.slice("env:".length)] ?? "") : to
  if (identityOf(url) === identityOf(from)) {
    throw new CliFailure({
      code: "SAME_DATABASE",
      message: "--to names the database that --database names.",
      exitCode: 2,
      tryThis: "name another database in --to"
    })
  }
  return backendOf(url)
}

/** The same text for each path to one file, and for each URL of one Postgres database. */
const identityOf = (url: string): string => {
  const database = databaseOf(url)
  if (database.kind === "sqlite") {
    const file = statSync(database.filename, { throwIfNoEntry: false, bigint: true })
    return file === undefined ? `sqlite:${database.filename}` : `file ${file.dev} ${file.ino}`
  }
  const { hostname, pathname, port, searchParams } = new URL(database.url)
  // The driver prefers the part of the query.
  const host = (searchParams.get("host") ?? hostname).toLowerCase()
  const name = searchParams.get("dbname") ?? pathname.slice(1)
  return `postgres ${LOOPBACK.has(host) ? "localhost" : host}:${searchParams.get("port") ?? (port || "5432")}/${name}`
}

const LOOPBACK: ReadonlySet<string> = new Set(["", "localhost", "127.0.0.1", "[::1]"])

/**
 * Fails unless the target has its tables, and tells how to make them. `reading` is its running `readMigrationStatus`. `isPatient`: a
 * database that cannot be reached is left to the command, which waits for it.
 */
export const requireMigrated = async (
  { label }: Backend,
  reading: Promise<ReadonlyArray<MigrationStatus>>,
  { isPatient = false } = {}
): Promise<void> => {
  const migrations = await reading.catch((error) => {
    const { code, exitCode, message, tryThis } = failureOf(error)
    const isAbsent = label.startsWith("sqlite:") && /ENOENT/.test(message)
    if (isPatient && !isAbsent) return []
    // `migrate` helps only if the target does not exist. On a damaged or unreachable one it could lose data.
    const advice = isAbsent ? migrateAdvice(label) : tryThis
    throw new CliFailure({ code, exitCode, message: `--to: ${message}`, ...(advice && { tryThis: advice }) })
  })
  const missing = migrations.filter(({ applied }) => !applied)
  if (missing.length > 0) {
    throw new CliFailure({
      code: "TARGET_NOT_MIGRATED",
      message: `${label} lacks migrations of this version: ${missing.map(({ name }) => name).join(", ")}.`,
      exitCode: 3,
      tryThis: migrateAdvice(label)
    })
  }
}

const migrateAdvice = (label: string): string => `sync-admin migrate --database ${label}`
