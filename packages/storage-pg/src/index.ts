/**
 * The event log and its signals on Postgres.
 *
 * @module @sealog/storage-pg
 */
import { layer, type PgStorageOptions } from "./PgStorage.ts"

export type { MigrationStatus } from "@sealog/server/storage"
export * as PgStorage from "./PgStorage.ts"

/** The storage of `createSealog` on a Postgres database, which is migrated. Any number of processes may share it. */
export const postgresStorage = (options: PgStorageOptions) => layer(options)
