/**
 * The event log and its signals on one Postgres database, for any number of processes.
 *
 * Every append is committed with `synchronous_commit` on or stronger, also if the database is set to less. Connections are
 * opened when they are needed: a server starts while the database is away, refuses writes, and continues once it is back.
 */
import { PgClient } from "@effect/sql-pg"
import { EventLog, Signals, StorageUnavailable } from "@sealog/server/ports"
import { asUnavailable, type MigrationStatus, missingMigrations, rootCauseOf } from "@sealog/server/storage"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { diagnose as diagnoseDatabase } from "./Diagnosis.ts"
import { isDistributed } from "./Distribution.ts"
import { endInTime } from "./EndInTime.ts"
import { grantTo, migrate, migrateAndDistribute, migrationStatus } from "./Migrations.ts"
import type { NodeAddress } from "./NodeClients.ts"
import { makeEventLog } from "./PgEventLog.ts"
import { makeSignals, makeSweeps } from "./PgSignals.ts"
import { isTransactionMode, requireOwnSessions } from "./Pooler.ts"
import { leavesMachineOpenly, tlsOptions } from "./Tls.ts"
import { isDamage, isRefusedLogin, unavailable } from "./Unavailable.ts"

export interface PgStorageOptions {
  /**
   * `postgres://user:password@host:port/database`, as libpq reads it. For TLS: `sslmode` (`disable`, `prefer`, `require`,
   * `verify-ca`, `verify-full`; all but the first two check the certificate), `sslrootcert`, `sslcert` and `sslkey` (paths).
   *
   * `?pgbouncer=true`: a pooler in transaction mode is before the database. Statements are not prepared, and the database carries
   * no signals: several processes use `RedisSignals` of `@sealog/server/adapters`, or hear of each other a few seconds later. Without it, a
   * server does not start behind such a pooler.
   */
  readonly url: Redacted.Redacted<string> | string
  /** Connections of this process, without the one that listens for signals. Default: 10. */
  readonly maxConnections?: number
}

/** Migrates the database and provides the log. Fails if the database cannot be reached or the role may not change tables. */
export const layer = (options: PgStorageOptions): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(options, migrate.pipe(asUnavailable("migrate the database")))

/**
 * Provides the log of a migrated database. Fails if migrations are missing, or a newer version has migrated it. If the database
 * cannot be reached, the layer still succeeds, and calls fail until the database is back.
 */
export const layerWithoutMigrations = (
  options: PgStorageOptions
): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(options, requireMigrations.pipe(asUnavailable("read the migrations")))

/** Applies the missing migrations, and returns their ids and names. The role must own the tables. */
export const applyMigrations = (options: PgStorageOptions) =>
  migrate.pipe(asUnavailable("migrate the database"), Effect.provide(layerClient(options)))

/**
 * Does the same, and distributes the log by library over the nodes of a Citus cluster, if it is not yet. The role must be a superuser.
 * Fails if a log that is not distributed holds events.
 */
export const applyMigrationsAndDistribute = (options: PgStorageOptions) =>
  migrateAndDistribute.pipe(asUnavailable("distribute the database"), Effect.provide(layerClient(options)))

/** Grants a role the rights that a server needs, and no more. The connecting role must own the tables. */
export const grant = (options: PgStorageOptions, role: string) =>
  grantTo(role).pipe(asUnavailable(`grant the server's rights to ${role}`), Effect.provide(layerClient(options)))

/** Returns every migration, and whether the database has it. */
export const readMigrationStatus = (
  options: PgStorageOptions
): Effect.Effect<ReadonlyArray<MigrationStatus>, StorageUnavailable> =>
  migrationStatus.pipe(asUnavailable("read the migrations"), Effect.provide(layerClient(options)))

/** Checks whether a server can rely on the database. `quick`: without looking at all streams. Fails if it cannot be reached. */
export const diagnose = (options: PgStorageOptions, { quick = false }: { readonly quick?: boolean } = {}) =>
  diagnoseDatabase(quick).pipe(asUnavailable("look at the database"), Effect.provide(layerClient(options)))

/** Returns whether the log is distributed over the nodes of a Citus cluster. */
export const isDistributedLog = (options: PgStorageOptions) =>
  isDistributed.pipe(asUnavailable("look at the database"), Effect.provide(layerClient(options)))

/** Returns the bytes that the log takes on the disk, with its indexes. */
export const size = (options: PgStorageOptions) =>
  tableSize.pipe(asUnavailable("measure the tables"), Effect.provide(layerClient(options)))

/** Provides the SQL client alone, for tools and tests. */
export const layerClient = (
  options: PgStorageOptions
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, StorageUnavailable> => layerClientOf(options)

/** `node`: the address of another node than the URL's. */
const layerClientOf = (
  options: PgStorageOptions,
  node?: NodeAddress
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, StorageUnavailable> =>
  PgClient.layerFrom(
    Effect.gen(function* () {
      const ssl = yield* tlsOptions(options.url)
      return yield* PgClient.make({
        url: typeof options.url === "string" ? Redacted.make(options.url) : options.url,
        ...node,
        applicationName: "sealog",
        maxConnections: poolSize(options),
        prepare: !isTransactionMode(options.url),
        // Notices a peer that is gone without closing the connection.
        keepAlive: "10 seconds",
        // Larger than any frame that a server accepts.
        maxMessageSize: 1024 * 1024 * 1024 - 1,
        ...(ssl === undefined ? {} : { ssl })
      })
    }).pipe(asUnavailable("connect"))
  )

const tableSize = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const sizeOf = (yield* isDistributed) ? "citus_total_relation_size" : "pg_total_relation_size"
  const [row] = yield* sql<{ bytes: number }>`
    SELECT sum(${sql(sizeOf)}(name::regclass))::float8 AS bytes
    FROM unnest(ARRAY['sealog.streams', 'sealog.events', 'sealog.payloads']) AS name`
  return row?.bytes ?? 0
})

/** Fails if the database refuses the login, was never migrated, or was by a version that is not this one. */
const requireMigrations = Effect.gen(function* () {
  const status = yield* Effect.catch(migrationStatus, (error) => {
    if (error instanceof StorageUnavailable) return Effect.fail(error)
    if (isDamage(error)) return unavailable("read the migrations")(Effect.fail(error))
    // A password does not become right by itself.
    if (isRefusedLogin(error)) return asUnavailable("open the database")(Effect.fail(error))
    // The database may come back. Until then, every call of the log fails and says so.
    return Effect.as(Effect.logDebug("The database cannot be reached yet", rootCauseOf(error)), [])
  })
  const missing = missingMigrations(status)
  if (missing !== undefined) return yield* missing
})

/** The additional connection listens for signals. */
const poolSize = ({ maxConnections = 10 }: PgStorageOptions): number => maxConnections + 1

const OPENLY = "the node is on another machine, and the database's URL has no TLS (sslmode=require)"

const layerServices = <E>(
  options: PgStorageOptions,
  prepared: Effect.Effect<unknown, E, PgClient.PgClient | SqlClient.SqlClient>
) =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* prepared
      const isPooled = isTransactionMode(options.url)
      if (!isPooled) yield* requireOwnSessions
      const openNode = (node: NodeAddress) =>
        leavesMachineOpenly(options.url, node.host)
          ? new StorageUnavailable({ operation: "connect", cause: new Error(OPENLY) })
          : Effect.map(Layer.build(layerClientOf(options, node)), (client) => Context.get(client, SqlClient.SqlClient))
      const log = EventLog.of(yield* makeEventLog(poolSize(options), openNode))
      return Context.make(EventLog, log).pipe(Context.add(Signals, yield* isPooled ? makeSweeps : makeSignals))
    })
  ).pipe(Layer.provide(layerClient(options)), endInTime)
