/**
 * The server as a library: `SyncServer`, its options, the ports it asks for and the adapters that come with it.
 *
 * @module @sealog/server
 */
export * from "./adapters/index.ts"
export { defaultQuota, type Quota, type QuotaChange } from "./domain/Quota.ts"
export type { DocumentChange } from "./domain/verdant/DocumentChange.ts"
export { ReplicaId } from "./domain/verdant/Events.ts"
export type { SentBaseline, SentOperation } from "./domain/verdant/model/PayloadCodec.ts"
export type {
  Changed,
  Deleted,
  Evicted,
  Imported,
  LibraryChange,
  Purged
} from "./domain/verdant/views/LibraryChange.ts"
export type { ReplicaInfo, VerdantInfo } from "./domain/verdant/views/LibraryInfo.ts"
export { InvalidTrustedProxy } from "./edge/ClientAddress.ts"
export type { EdgeOptions } from "./edge/EdgeOptions.ts"
export { nodeServerOptions } from "./edge/Handlers.ts"
export { MetricsListenError, type MetricsOptions, serveMetrics } from "./edge/http/MetricsRoute.ts"
export { verdantResponse } from "./edge/http/VerdantResponse.ts"
export type { SocketLimits } from "./edge/Limits.ts"
export { ListenError } from "./edge/listen.ts"
export { InvalidMountPath } from "./edge/MountPath.ts"
export { type MountOptions, NodeHandlers } from "./edge/NodeHandlers.ts"
export { InvalidOrigin, type OriginList } from "./edge/Origins.ts"
export { layerUntilPromoted } from "./edge/StandbyDoor.ts"
export { type Routes, SyncServer, type SyncServerOptions } from "./edge/SyncServer.ts"
export { ClientRefused, type Transport, Transports, TryAgainLater } from "./edge/Transports.ts"
export { CurrentLogThreshold, LogThreshold } from "./internal/LogThreshold.ts"
export { showMetrics } from "./metrics/Family.ts"
export * from "./ports/index.ts"
export type { Health } from "./ports/Workers.ts"
export type { CanaryOptions } from "./protocols/secsync/Canary.ts"
export { DocumentRefused, SecsyncDocuments } from "./protocols/secsync/SecsyncDocuments.ts"
export type { SecsyncOptions } from "./protocols/secsync/Sessions.ts"
export type {
  BeforeStored,
  IncomingMessage,
  StoredHookOptions,
  StoredMessage
} from "./protocols/secsync/StoredHooks.ts"
export { VERDANT_PATH } from "./protocols/verdant/ConnectionUrl.ts"
export { AnothersFile, FilesFull } from "./protocols/verdant/files/FileCatalog.ts"
export { FileLinks } from "./protocols/verdant/files/FileLinks.ts"
export type { FileOptions, FileToLink } from "./protocols/verdant/files/FileOptions.ts"
export type { VerdantOptions } from "./protocols/verdant/Sessions.ts"
export {
  DocumentTooLarge,
  type FileInfo,
  type FileToStore,
  NoFileStore,
  VerdantLibraries,
  WriteRefused
} from "./protocols/verdant/VerdantLibraries.ts"
export { FrameTracer, type TraceOptions } from "./rooms/FrameTraces.ts"
export { LogIsStandby } from "./rooms/LogEpoch.ts"
export { Signatures } from "./signatures/Signatures.ts"
export type { WebhookOptions } from "./webhooks/WebhookOptions.ts"
