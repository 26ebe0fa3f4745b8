/** From a database URL to a storage; only the one that is asked for is loaded. */

import type { EventLog, Signals, StorageUnavailable } from "@sealog/server/ports"
import type { Finding } from "@sealog/server/storage"
import type { Effect, Layer } from "effect"
import { CliFailure } from "../output/CliFailure.ts"

export interface MigrationStatus {
  readonly id: number
  readonly name: string
  readonly applied: boolean
}

export interface Backend {
  readonly kind: "sqlite" | "postgres"
  /** The URL without a password, for people. */
  readonly label: string
  /** The log of a database that exists and was migrated: for everything but `serve` and `migrate`. */
  readonly existing: Layer.Layer<EventLog | Signals, StorageUnavailable>
  /** The log, made and migrated first. */
  readonly migrated: Layer.Layer<EventLog | Signals, StorageUnavailable>
  readonly applyMigrations: Effect.Effect<ReadonlyArray<readonly [id: number, name: string]>, StorageUnavailable>
  readonly readMigrationStatus: Effect.Effect<ReadonlyArray<MigrationStatus>, StorageUnavailable>
  /** Looks whether a server could rely on the database. */
  readonly diagnose: Effect.Effect<ReadonlyArray<Finding>, StorageUnavailable>
  /** Bytes that the log takes on the disk. */
  readonly size: Effect.Effect<number, StorageUnavailable>
  /** Gives a role what a server needs and no more; only where there are roles. */
  readonly grant?: (role: string) => Effect.Effect<void, StorageUnavailable>
}

export const backendOf = async (url: string): Promise<Backend> => {
  if (url.startsWith("sqlite:") && url.length > "sqlite:".length) return sqlite(url)
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return postgres(url)
  throw new CliFailure({
    code: "DATABASE_URL_INVALID",
    // Not the URL itself: it may hold a password.
    message: "The database URL is neither of the form sqlite:PATH nor postgres://USER:PASSWORD@HOST:PORT/DATABASE.",
    exitCode: 2,
    tryThis: "--database sqlite:./data/sealog.db"
  })
}

/** For a server's commits: a command has nothing else to do meanwhile, and a disk may be slow. */
const COMMAND_WAITS = "10 seconds"

const sqlite = async (url: string): Promise<Backend> => {
  const { SqliteStorage } = await import("@sealog/storage-sqlite")
  const filename = url.slice("sqlite:".length).replace(/^\/\/(?=\/)/, "")
  return {
    kind: "sqlite",
    label: url,
    existing: SqliteStorage.layerWithoutMigrations({ filename, busyTimeout: COMMAND_WAITS }),
    migrated: SqliteStorage.layer({ filename }),
    applyMigrations: SqliteStorage.applyMigrations({ filename }),
    readMigrationStatus: SqliteStorage.readMigrationStatus({ filename }),
    diagnose: SqliteStorage.diagnose({ filename }),
    size: SqliteStorage.size({ filename })
  }
}

const postgres = async (url: string): Promise<Backend> => {
  const { PgStorage } = await import("@sealog/storage-pg")
  return {
    kind: "postgres",
    label: withoutPassword(url),
    existing: PgStorage.layerWithoutMigrations({ url }),
    migrated: PgStorage.layer({ url }),
    applyMigrations: PgStorage.applyMigrations({ url }),
    readMigrationStatus: PgStorage.readMigrationStatus({ url }),
    diagnose: PgStorage.diagnose({ url }),
    size: PgStorage.size({ url }),
    grant: (role) => PgStorage.grant({ url }, role)
  }
}

const withoutPassword = (url: string): string => {
  const parsed = new URL(url)
  parsed.password = ""
  // A password may also be a parameter, as any of the others may hold a path of somebody's.
  parsed.search = ""
  return parsed.href
}
