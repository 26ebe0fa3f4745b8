/**
 * The event log and its signals on one SQLite file.
 *
 * The file is in WAL mode with `synchronous=FULL`: acknowledged events survive a killed process and a power failure, as far as
 * the disk keeps what it was told to flush.
 */
import { closeSync, mkdirSync, openSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { EventLog, Signals, StorageCheck, StorageUnavailable } from "@sealog/server/ports"
import { asUnavailable, missingMigrations } from "@sealog/server/storage"
import { Context, type Duration, Effect, Layer, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import * as SqliteClient from "#driver"
import { type DatabaseFile, databaseFile } from "./DatabaseFile.ts"
import { diagnose as diagnoseFile } from "./Diagnosis.ts"
import { leftOverWal, REMEDY } from "./LeftOverWal.ts"
import { migrate, migrationStatus } from "./Migrations.ts"
import { quickCheck } from "./QuickCheck.ts"
import { lockForServer, lockOutServers } from "./ServerLock.ts"
import { requireSoundStreams } from "./SoundStreams.ts"
import { makeEventLog } from "./SqliteEventLog.ts"
import { makeSignals } from "./SqliteSignals.ts"

export interface SqliteStorageOptions {
  /** The path of the database, created if it does not exist. ":memory:" is a database that ends with the process. */
  readonly filename: string
  /** How long a write waits while another process writes; this process stands still for that time. Default: 2 seconds. */
  readonly busyTimeout?: Duration.Input
  /**
   * Whether the process is a server. Of servers with this option, one at a time opens a file: the next waits ten seconds for it,
   * and then fails. Default: false, for commands and tests.
   */
  readonly isServer?: boolean
}

/** Migrates the database and provides the log. Fails if the file cannot be opened or is not a Sealog database. */
export const layer = (options: SqliteStorageOptions): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(
    Effect.gen(function* () {
      if (options.isServer === true) yield* lockForServer(options.filename)
      yield* migrate
      yield* requireSoundStreams
    }),
    options
  ).pipe(Layer.provide(layerClient(options)), Layer.provide(warnOfLeftOverWal(options.filename)))

/** Before the file is opened, because SQLite applies the `-wal` then, and writes to it. */
const warnOfLeftOverWal = (filename: string) =>
  Layer.effectDiscard(
    Effect.suspend(() => {
      const found = leftOverWal(filename)
      return found === undefined ? Effect.void : Effect.logWarning(`${found}; ${REMEDY}`)
    })
  )

/** Provides the log of a migrated database. Fails if the file does not exist, or a version that is not this one migrated it. */
export const layerWithoutMigrations = (
  options: SqliteStorageOptions
): Layer.Layer<EventLog | Signals, StorageUnavailable> =>
  layerServices(requireMigrations, options).pipe(Layer.provide(layerClient({ ...options, mustExist: true })))

/** Applies the missing migrations, and returns their ids and names. */
export const applyMigrations = (options: SqliteStorageOptions) =>
  migrate.pipe(Effect.provide(layerClient(options)), asUnavailable("migrate the database"))

/** Returns every migration, and whether the database has it. */
export const readMigrationStatus = (options: SqliteStorageOptions) =>
  migrationStatus.pipe(
    Effect.provide(layerClient({ ...options, mustExist: true })),
    asUnavailable("read the migrations")
  )

/** Checks whether a server can rely on the file. `quick`: without reading all its pages. Fails if it cannot be opened. */
export const diagnose = (options: SqliteStorageOptions, { quick = false }: { readonly quick?: boolean } = {}) =>
  diagnoseFile(options.filename, quick).pipe(
    Effect.provide(layerClient({ ...options, mustExist: true })),
    asUnavailable("look at the database")
  )

/** Returns the bytes that the log takes on the disk. */
export const size = ({ filename }: SqliteStorageOptions) =>
  Effect.try({
    try: () =>
      [filename, `${filename}-wal`].reduce(
        (sum, name) => sum + (statSync(name, { throwIfNoEntry: false })?.size ?? 0),
        0
      ),
    catch: (cause) => new StorageUnavailable({ operation: "measure the file", cause })
  })

/**
 * Waits until no server uses the file, and keeps servers from it until the scope closes. It sees the servers that were opened with
 * `isServer`, however they end.
 */
export const withoutServer = ({ filename }: SqliteStorageOptions) => lockOutServers(filename)

/** Provides the SQL client alone, for tools and tests. */
export const layerClient = (
  options: SqliteStorageOptions & { readonly mustExist?: boolean }
): Layer.Layer<SqlClient.SqlClient | SqliteClient.SqliteClient, StorageUnavailable> =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* Effect.try(() => prepareFile(options.filename, options.mustExist === true))
      const context = yield* Layer.build(
        SqliteClient.layer({ filename: options.filename, busyTimeout: options.busyTimeout ?? "2 seconds" })
      )
      const sql = Context.get(context, SqlClient.SqlClient)
      yield* sql`PRAGMA synchronous = FULL`
      yield* sql`PRAGMA foreign_keys = ON`
      return context
    }).pipe(asUnavailable(`open ${options.filename}`))
  )

const requireMigrations = Effect.gen(function* () {
  const missing = missingMigrations(yield* migrationStatus)
  if (missing !== undefined) return yield* missing
})

const layerServices = <E>(
  prepare: Effect.Effect<unknown, E, SqlClient.SqlClient | SqliteClient.SqliteClient | Scope.Scope>,
  { filename }: Pick<SqliteStorageOptions, "filename">
) =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* prepare
      const log = whileInPlace(databaseFile(filename), yield* makeEventLog)
      return Context.make(EventLog, EventLog.of(log)).pipe(
        Context.add(Signals, yield* makeSignals),
        Context.add(StorageCheck, quickCheck(filename))
      )
    }).pipe(asUnavailable("prepare the database"))
  )

/** The log, which fails once its file is not the one at its path any more: what it commits then is not acknowledged. */
const whileInPlace = ({ isInPlace }: DatabaseFile, log: EventLog["Service"]): EventLog["Service"] => ({
  ...log,
  append: (batch) => Effect.tap(log.append(batch), () => isInPlace),
  heads: (keys) => Effect.andThen(isInPlace, log.heads(keys)),
  tail: (key, options) => Effect.andThen(isInPlace, log.tail(key, options))
})

/** A new file is readable by its owner alone: it shows which users talk with each other, though not about what. */
const prepareFile = (filename: string, mustExist: boolean): void => {
  if (filename === ":memory:") return
  if (!mustExist) mkdirSync(dirname(filename), { recursive: true })
  closeSync(openSync(filename, mustExist ? "r+" : "a", 0o600))
}
