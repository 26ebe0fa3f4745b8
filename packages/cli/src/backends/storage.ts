/** The storage that a database URL names. Only its package is loaded. */
import type { EventLog, Signals, StorageUnavailable } from "@sealog/server/ports"
import type { Finding, MigrationStatus } from "@sealog/server/storage"
import type { Layer, Scope } from "effect"
import * as Effect from "effect/Effect"
import { effectContext } from "effect/Layer"
import { databaseOf, withoutCredentials } from "../input/databaseUrl.ts"
import { CliFailure } from "../output/CliFailure.ts"

type Failure = StorageUnavailable | CliFailure

export interface Backend {
  readonly kind: "sqlite" | "postgres"
  /** The URL without its password and parameters, to show to people. */
  readonly label: string
  /** The log of an existing, migrated database, for every command but `serve` and `migrate`. */
  readonly existing: Layer.Layer<EventLog | Signals, Failure>
  /** The log for a server, after creating and migrating the database. One server at a time opens a SQLite file. */
  readonly migrated: Layer.Layer<EventLog | Signals, Failure>
  readonly applyMigrations: Effect.Effect<ReadonlyArray<readonly [id: number, name: string]>, Failure>
  /** The same, and distributes an empty log by library over the nodes of a Citus cluster. Only Postgres has such clusters. */
  readonly applyMigrationsAndDistribute?: Backend["applyMigrations"]
  /** Whether the log is distributed. Absent: it cannot be. */
  readonly isDistributed?: Effect.Effect<boolean, Failure>
  readonly readMigrationStatus: Effect.Effect<ReadonlyArray<MigrationStatus>, Failure>
  /** Checks whether a server can rely on the database. `quick`: without what takes longer on a larger one. */
  readonly diagnose: (quick: boolean) => Effect.Effect<ReadonlyArray<Finding>, Failure>
  /** The size of the log on disk, in bytes. */
  readonly size: Effect.Effect<number, StorageUnavailable>
  /** Waits until no server uses the log, and keeps servers from it until the scope closes. Absent: nothing tells. */
  readonly withoutServer?: Effect.Effect<unknown, StorageUnavailable, Scope.Scope>
  /** Grants a role the rights that a server needs, and no more. SQLite has no roles. */
  readonly grant?: (role: string) => Effect.Effect<void, Failure>
}

/** `connections`: the most connections to Postgres, without the one that listens for signals. */
export const backendOf = async (url: string, connections?: number): Promise<Backend> => {
  const database = databaseOf(url)
  return database.kind === "sqlite" ? sqlite(database.filename) : postgres(database.url, connections)
}

/** How long a command waits for a server's commits: longer than a server, because a disk may be slow. */
const BUSY_TIMEOUT = "10 seconds"

const sqlite = async (filename: string): Promise<Backend> => {
  const { SqliteStorage } = await import("@sealog/storage-sqlite")
  return {
    kind: "sqlite",
    label: `sqlite:${filename}`,
    existing: SqliteStorage.layerWithoutMigrations({ filename, busyTimeout: BUSY_TIMEOUT }),
    migrated: SqliteStorage.layer({ filename, isServer: true }),
    applyMigrations: SqliteStorage.applyMigrations({ filename }),
    readMigrationStatus: SqliteStorage.readMigrationStatus({ filename }),
    diagnose: (quick) => SqliteStorage.diagnose({ filename }, { quick }),
    size: SqliteStorage.size({ filename }),
    withoutServer: SqliteStorage.withoutServer({ filename }),
    ...(filename === ":memory:" ? inMemory() : {})
  }
}

/** A server that is tried out may have its log in memory. A command would find another log there, which is empty. */
const inMemory = () => {
  const failed = Effect.fail(
    new CliFailure({
      code: "DATABASE_IN_MEMORY",
      message: "A database in memory belongs to one process, so this command finds nothing in it.",
      exitCode: 2,
      tryThis: "--database with a file or a Postgres; or, about a server that runs in memory, --server with its URL"
    })
  )
  return {
    existing: effectContext(failed),
    applyMigrations: failed,
    readMigrationStatus: failed,
    diagnose: () => failed
  }
}

const postgres = async (url: string, connections: number | undefined): Promise<Backend> => {
  const { PgStorage } = await import("@sealog/storage-pg")
  const served = { url, ...(connections === undefined ? {} : { maxConnections: connections }) }
  return {
    kind: "postgres",
    label: withoutCredentials(url),
    existing: PgStorage.layerWithoutMigrations(served),
    migrated: PgStorage.layer(served),
    applyMigrations: PgStorage.applyMigrations({ url }),
    applyMigrationsAndDistribute: PgStorage.applyMigrationsAndDistribute({ url }),
    isDistributed: PgStorage.isDistributedLog({ url }),
    readMigrationStatus: PgStorage.readMigrationStatus({ url }),
    diagnose: (quick) => PgStorage.diagnose({ url }, { quick }),
    size: PgStorage.size({ url }),
    grant: (role) => PgStorage.grant({ url }, role)
  }
}
