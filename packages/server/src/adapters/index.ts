/**
 * Implementations of the ports that the server brings. Databases have packages of their own.
 *
 * @module @sealog/server/adapters
 */
export * as FileSystemBlobStore from "./FileSystemBlobStore.ts"
export * as JwtAccess from "./JwtAccess.ts"
export * as MemoryBlobStore from "./MemoryBlobStore.ts"
export * as MemoryEventLog from "./MemoryEventLog.ts"
export * as RedisSignals from "./RedisSignals.ts"
export * as S3BlobStore from "./S3BlobStore.ts"
