/** From a database URL to a storage. */
import { SqliteStorage } from "@sealog/storage-sqlite"
import { CliFailure } from "./CliFailure.ts"

/** The file that `sqlite:PATH` names. */
export const sqliteFile = (url: string): string => {
  if (url.startsWith("sqlite:") && url.length > "sqlite:".length)
    return url.slice("sqlite:".length).replace(/^\/\/(?=\/)/, "")
  const isPostgres = /^postgres(ql)?:/.test(url)
  throw new CliFailure({
    code: isPostgres ? "POSTGRES_NOT_SUPPORTED" : "DATABASE_URL_INVALID",
    // Not the URL itself: it may hold a password.
    message: isPostgres ? "Postgres storage is not built yet." : "The database URL is not of the form sqlite:PATH.",
    exitCode: 2,
    tryThis: "--database sqlite:./data/sealog.db"
  })
}

/** The log of a database that exists and was migrated: for everything but `serve` and `migrate`. */
export const existingStorage = (url: string) => SqliteStorage.layerWithoutMigrations({ filename: sqliteFile(url) })

export const migratedStorage = (url: string) => SqliteStorage.layer({ filename: sqliteFile(url) })
