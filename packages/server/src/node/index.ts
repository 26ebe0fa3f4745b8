/**
 * The server as a library for apps that do not use Effect: `createSealog`, its options and its errors.
 *
 * @module @sealog/server/node
 */
export { defaultQuota, type Quota, type QuotaChange } from "../domain/Quota.ts"
export type { DocumentChange } from "../domain/verdant/DocumentChange.ts"
export type { Changed, Evicted, Imported, LibraryChange, Purged } from "../domain/verdant/views/LibraryChange.ts"
export type { ReplicaInfo, VerdantInfo } from "../domain/verdant/views/LibraryInfo.ts"
export { InvalidTrustedProxy } from "../edge/ClientAddress.ts"
export { nodeServerOptions } from "../edge/Handlers.ts"
export type { SocketLimits } from "../edge/Limits.ts"
export { InvalidMountPath } from "../edge/MountPath.ts"
export { InvalidOrigin, type OriginList } from "../edge/Origins.ts"
export { ClientRefused, type Transport, TryAgainLater } from "../edge/Transports.ts"
export { type AccessOptions, type Action, type Grant, type ReplicaTypeName, TokenRefused } from "../ports/Access.ts"
export { BlobStoreUnavailable, BlobTooLarge } from "../ports/BlobStore.ts"
export { StorageUnavailable } from "../ports/EventLog.ts"
export { SecretTooShort, TokenKeysError } from "../ports/TokenSecret.ts"
export type { Health } from "../ports/Workers.ts"
export { DocumentRefused } from "../protocols/secsync/SecsyncDocuments.ts"
export type { BeforeStored, IncomingMessage, StoredMessage } from "../protocols/secsync/StoredHooks.ts"
export { AnothersFile, FilesFull } from "../protocols/verdant/files/FileCatalog.ts"
export type { FileToLink } from "../protocols/verdant/files/FileOptions.ts"
export type { VerdantOptions } from "../protocols/verdant/Sessions.ts"
export { DocumentTooLarge, type FileInfo, NoFileStore, WriteRefused } from "../protocols/verdant/VerdantLibraries.ts"
export type { WebhookOptions } from "../webhooks/WebhookOptions.ts"
export type { Policy, SessionAccess, SessionGrant, SessionRequest, TokenAccess } from "./access.ts"
export { createSealog, SealogClosed } from "./createSealog.ts"
export type { Log, LogLevel } from "./logging.ts"
export type {
  AccessChanged,
  Bytes,
  ChangesOptions,
  ClientOpening,
  Connected,
  DeletionTarget,
  MintRequest,
  Revoked,
  Sealog,
  UploadedFile
} from "./Sealog.ts"
export type { SealogFiles, SealogOptions, SealogSecsync } from "./SealogOptions.ts"
export { type FileStore, fileDirectory, memoryStorage, type S3BucketOptions, type Storage, s3Bucket } from "./stores.ts"
