/**
 * The log, and word of what other processes write to it, on one SQLite file.
 *
 * Durable as SQLite can be: WAL with `synchronous=FULL`, so what was acknowledged survives a killed process and a
 * machine that lost power, as far as the disk keeps what it was told to.
 */
import { closeSync, mkdirSync, openSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { EventLog, Signals, StorageUnavailable } from "@sealog/server/ports"
import { Context, type Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as SqliteClient from "#driver"
import { diagnose as diagnoseFile } from "./Diagnosis.ts"
import { migrate, migrationStatus } from "./Migrations.ts"
import { makeEventLog } from "./SqliteEventLog.ts"
import { makeSignals } from "./SqliteSignals.ts"

export interface SqliteStorageOptions {
  /** The database's path, made if it is not there; ":memory:" for one that goes with the process. */
  readonly filename: string
  /** How long a write waits for another process's. The process does nothing else meanwhile. Default: 2 seconds. */
  readonly busyTimeout?: Duration.Input
}

/** The log, migrated. Fails when the file cannot be opened or is not a database of ours. */
export const layer = (options: SqliteStorageOptions): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(migrate).pipe(Layer.provide(layerClient(options)))

/** The log of a database that was migrated before; it is not made when it is not there. */
export const layerWithoutMigrations = (
  options: SqliteStorageOptions
): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(Effect.void).pipe(Layer.provide(layerClient({ ...options, mustExist: true })))

/** Applies the migrations that are missing; the ids and names of those. */
export const applyMigrations = (options: SqliteStorageOptions) =>
  migrate.pipe(Effect.provide(layerClient(options)), asUnavailable("migrate the database"))

/** Every migration, and whether the database has it. */
export const readMigrationStatus = (options: SqliteStorageOptions) =>
  migrationStatus.pipe(
    Effect.provide(layerClient({ ...options, mustExist: true })),
    asUnavailable("read the migrations")
  )

/** Looks whether a server could rely on the file; fails when it cannot be opened. */
export const diagnose = (options: SqliteStorageOptions) =>
  diagnoseFile(options.filename).pipe(
    Effect.provide(layerClient({ ...options, mustExist: true })),
    asUnavailable("look at the database")
  )

/** Bytes that the log takes on the disk. */
export const size = ({ filename }: SqliteStorageOptions) =>
  Effect.try({
    try: () =>
      [filename, `${filename}-wal`].reduce(
        (sum, name) => sum + (statSync(name, { throwIfNoEntry: false })?.size ?? 0),
        0
      ),
    catch: (cause) => new StorageUnavailable({ operation: "measure the file", cause })
  })

/** The client alone, for tools and tests. */
export const layerClient = (
  options: SqliteStorageOptions & { readonly mustExist?: boolean }
): Layer.Layer<SqlClient.SqlClient, StorageUnavailable> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      yield* Effect.try(() => prepareFile(options.filename, options.mustExist === true))
      const context = yield* Layer.build(
        SqliteClient.layer({ filename: options.filename, busyTimeout: options.busyTimeout ?? "2 seconds" })
      )
      const sql = Context.get(context, SqlClient.SqlClient)
      yield* sql`PRAGMA synchronous = FULL`
      yield* sql`PRAGMA foreign_keys = ON`
      return sql
    }).pipe(asUnavailable(`open ${options.filename}`))
  )

const layerServices = <E>(prepare: Effect.Effect<unknown, E, SqlClient.SqlClient>) =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* prepare
      return Context.make(EventLog, EventLog.of(yield* makeEventLog)).pipe(Context.add(Signals, yield* makeSignals))
    }).pipe(asUnavailable("prepare the database"))
  )

/** A new file is its owner's alone: it holds who talks with whom, if not about what. */
const prepareFile = (filename: string, mustExist: boolean): void => {
  if (filename === ":memory:") return
  if (!mustExist) mkdirSync(dirname(filename), { recursive: true })
  closeSync(openSync(filename, mustExist ? "r+" : "a", 0o600))
}

function asUnavailable(operation: string) {
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, StorageUnavailable, R> =>
    Effect.mapError(effect, (error) =>
      error instanceof StorageUnavailable ? error : new StorageUnavailable({ operation, cause: rootOf(error) })
    )
}

/** What a person can act on is at the bottom: "unable to open database file", not "a migration failed". */
const rootOf = (error: unknown): unknown => {
  let root = error
  while (typeof root === "object" && root !== null && "cause" in root && root.cause !== undefined) root = root.cause
  return root
}
