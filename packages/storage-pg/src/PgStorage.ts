/**
 * The log, and word of what other processes write to it, on one Postgres database, for any number of processes.
 *
 * What is appended was committed with `synchronous_commit` on (or stronger), also in a database that is set to less.
 * Connections are opened when they are needed: a server starts also while the database is away, refuses what it cannot
 * store, and goes on once it is back.
 */
import { PgClient } from "@effect/sql-pg"
import { EventLog, Signals, StorageUnavailable } from "@sealog/server/ports"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { diagnose as diagnoseDatabase } from "./Diagnosis.ts"
import { grantTo, type MigrationStatus, migrate, migrationStatus } from "./Migrations.ts"
import { makeEventLog } from "./PgEventLog.ts"
import { makeSignals } from "./PgSignals.ts"
import { tlsOptions } from "./Tls.ts"
import { rootOf } from "./Unavailable.ts"

export interface PgStorageOptions {
  /**
   * `postgres://user:password@host:port/database`, as libpq takes it. TLS: `sslmode` (`disable`, `prefer`, `require`,
   * `verify-ca`, `verify-full`; all but the first two check the certificate), `sslrootcert`, `sslcert` and `sslkey` (paths).
   */
  readonly url: Redacted.Redacted<string> | string
  /** Connections of this process. Default: 10; one more listens for signals. */
  readonly maxConnections?: number
}

/** The log, migrated. Fails when the database cannot be reached or the role may not change tables. */
export const layer = (options: PgStorageOptions): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(prepare("migrate the database", migrate)).pipe(Layer.provide(layerClient(options)))

/**
 * The log of a database that was migrated before. Fails when it was not; when it cannot be reached, that is found out by
 * those who use it.
 */
export const layerWithoutMigrations = (
  options: PgStorageOptions
): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(prepare("read the migrations", requireMigrations)).pipe(Layer.provide(layerClient(options)))

/** Applies the migrations that are missing; the ids and names of those. Needs the tables' owner. */
export const applyMigrations = (options: PgStorageOptions) =>
  prepare("migrate the database", migrate).pipe(Effect.provide(layerClient(options)))

/** Gives a role what a server needs and no more. Needs the tables' owner. */
export const grant = (options: PgStorageOptions, role: string) =>
  prepare(`grant the server's rights to ${role}`, grantTo(role)).pipe(Effect.provide(layerClient(options)))

/** Every migration, and whether the database has it. */
export const readMigrationStatus = (
  options: PgStorageOptions
): Effect.Effect<ReadonlyArray<MigrationStatus>, StorageUnavailable> =>
  prepare("read the migrations", migrationStatus).pipe(Effect.provide(layerClient(options)))

/** Looks whether a server could rely on the database; fails when it cannot be reached. */
export const diagnose = (options: PgStorageOptions) =>
  prepare("look at the database", diagnoseDatabase).pipe(Effect.provide(layerClient(options)))

/** Bytes that the log takes on the disk, with its indexes. */
export const size = (options: PgStorageOptions) =>
  prepare("measure the tables", tableSize).pipe(Effect.provide(layerClient(options)))

/** The client alone, for tools and tests. */
export const layerClient = (
  options: PgStorageOptions
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, StorageUnavailable> =>
  PgClient.layerFrom(
    Effect.gen(function* () {
      const ssl = yield* tlsOptions(options.url)
      return yield* PgClient.make({
        url: typeof options.url === "string" ? Redacted.make(options.url) : options.url,
        applicationName: "sealog",
        // One of them listens.
        maxConnections: (options.maxConnections ?? 10) + 1,
        // A peer that is gone without a word is noticed.
        keepAlive: "10 seconds",
        // Larger than any frame that a server takes.
        maxMessageSize: 1024 * 1024 * 1024 - 1,
        ...(ssl === undefined ? {} : { ssl })
      })
    }).pipe(Effect.mapError((error) => unavailableOf("connect", error)))
  )

const tableSize = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ bytes: number }>`
    SELECT sum(pg_total_relation_size(name::regclass))::float8 AS bytes
    FROM unnest(ARRAY['sealog.streams', 'sealog.events', 'sealog.payloads']) AS name`
  return row?.bytes ?? 0
})

/** The database is there and was not set up, or by an older version. */
const requireMigrations = Effect.gen(function* () {
  const status = yield* migrationStatus.pipe(
    // It may come back, and who needs it now is told by the log itself.
    Effect.catch((error) => Effect.as(Effect.logDebug("The database cannot be reached yet", rootOf(error)), []))
  )
  const missing = status.filter(({ applied }) => !applied)
  if (missing.length > 0) {
    return yield* new StorageUnavailable({
      operation: "open the log",
      cause: new Error(`the database lacks the migrations ${missing.map(({ name }) => name).join(", ")}`)
    })
  }
})

const layerServices = <E>(prepared: Effect.Effect<unknown, E, PgClient.PgClient | SqlClient.SqlClient>) =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* prepared
      return Context.make(EventLog, EventLog.of(yield* makeEventLog)).pipe(Context.add(Signals, yield* makeSignals))
    })
  )

const prepare = <A, E, R>(operation: string, effect: Effect.Effect<A, E, R>) =>
  Effect.mapError(effect, (error) => unavailableOf(operation, error))

const unavailableOf = (operation: string, error: unknown): StorageUnavailable =>
  error instanceof StorageUnavailable ? error : new StorageUnavailable({ operation, cause: rootOf(error) })
