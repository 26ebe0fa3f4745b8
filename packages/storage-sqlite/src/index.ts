export type { MigrationStatus } from "./Migrations.ts"
export * as SqliteStorage from "./SqliteStorage.ts"
