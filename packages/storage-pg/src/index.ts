export type { MigrationStatus } from "@sealog/server/storage"
export * as PgStorage from "./PgStorage.ts"
