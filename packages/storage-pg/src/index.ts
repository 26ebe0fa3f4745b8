export type { MigrationStatus } from "./Migrations.ts"
export * as PgStorage from "./PgStorage.ts"
