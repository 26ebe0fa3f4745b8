/** The server as a library: `SyncServer`, its options, the ports it asks for and the adapters that come with it. */
export * from "./adapters/index.ts"
export { defaultQuota, type Quota, type QuotaChange } from "./domain/Quota.ts"
export type { SentBaseline, SentOperation } from "./domain/verdant/model/PayloadCodec.ts"
export type {
  Changed,
  Deleted,
  Evicted,
  Imported,
  LibraryChange,
  Purged
} from "./domain/verdant/views/LibraryChange.ts"
export { InvalidTrustedProxy } from "./edge/ClientAddress.ts"
export { verdantResponse } from "./edge/http/VerdantResponse.ts"
export type { SocketLimits } from "./edge/Limits.ts"
export { InvalidOrigin, type OriginList } from "./edge/Origins.ts"
export { ListenError, type Routes, SyncServer, type SyncServerOptions } from "./edge/SyncServer.ts"
export * from "./ports/index.ts"
export { DocumentRefused, SecsyncDocuments } from "./protocols/secsync/SecsyncDocuments.ts"
export type { SecsyncOptions } from "./protocols/secsync/Sessions.ts"
export type {
  BeforeStored,
  IncomingMessage,
  StoredHookOptions,
  StoredMessage
} from "./protocols/secsync/StoredHooks.ts"
export { VERDANT_PATH } from "./protocols/verdant/ConnectionUrl.ts"
export { FileLinks } from "./protocols/verdant/files/FileLinks.ts"
export type { FileOptions } from "./protocols/verdant/files/FileOptions.ts"
export type { VerdantOptions } from "./protocols/verdant/Sessions.ts"
export { DocumentTooLarge, VerdantLibraries } from "./protocols/verdant/VerdantLibraries.ts"
export { Signatures } from "./signatures/Signatures.ts"
