/**
 * The event log and its signals on one SQLite file.
 *
 * @module @sealog/storage-sqlite
 */
import { layer, type SqliteStorageOptions } from "./SqliteStorage.ts"

export type { MigrationStatus } from "@sealog/server/storage"
export * as SqliteStorage from "./SqliteStorage.ts"

/** The storage of `createSealog` on one SQLite file, which is created and migrated. */
export const sqliteStorage = (options: SqliteStorageOptions) => layer(options)
