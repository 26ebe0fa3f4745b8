export type { MigrationStatus } from "@sealog/server/storage"
export * as SqliteStorage from "./SqliteStorage.ts"
