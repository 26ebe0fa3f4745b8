/**
 * The ports: services that a server needs, with their ids and events.
 *
 * @module @sealog/server/ports
 */
export {
  DocumentId,
  decodeDocumentId,
  FileId,
  Hash,
  LibraryId,
  PublicKey,
  SnapshotId,
  UpdateClock,
  UpdateClocks,
  UserId
} from "../domain/Ids.ts"
export type { LogUse } from "../domain/Quota.ts"
export {
  chainOf,
  EVICTED,
  emptyHead,
  type NewEvent,
  PRUNED,
  type StreamEvent,
  type StreamHead,
  type StreamKey,
  streamName
} from "../domain/Stream.ts"
export {
  Access,
  type AccessChange,
  AccessChanges,
  type AccessOptions,
  type AccessRequest,
  type Action,
  Grant,
  ReplicaType,
  type ReplicaTypeName,
  TokenRefused,
  type TokenRequest
} from "./Access.ts"
export { AdminAccess, type Administrator } from "./AdminAccess.ts"
export {
  type Blob,
  type BlobEntry,
  BlobKey,
  type BlobRange,
  BlobStore,
  BlobStoreUnavailable,
  BlobTooLarge,
  measure,
  type Stored
} from "./BlobStore.ts"
export { Connections, type OpenConnection } from "./Connections.ts"
export {
  type Append,
  type Appended,
  type AppendOptions,
  EventLog,
  type LibrarySummary,
  LogDamaged,
  type PlacedEvent,
  type ReadOptions,
  StorageUnavailable,
  type StreamSummary
} from "./EventLog.ts"
export { listLibraries } from "./listLibraries.ts"
export { Profiles } from "./Profiles.ts"
export { type Broadcast, Signals } from "./Signals.ts"
export { StorageCheck } from "./StorageCheck.ts"
export { parseTokenSecrets, TokenKeysError, type TokenSecret } from "./TokenSecret.ts"
