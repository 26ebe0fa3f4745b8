/**
 * The operations behind `sync-admin`, for programs that administer a log without the CLI.
 *
 * @module @sealog/server/admin
 */

export { CheckpointsUnusable } from "../checkpoints/CheckpointFolder.ts"
export { makeKeys, parseSigner, parseVerifier, type Signer, type Verifier } from "../checkpoints/SignedNote.ts"
export {
  type Attribution,
  libraryAdministration,
  Operator,
  Reason,
  serverAdministration
} from "../domain/Administration.ts"
export { CHANGE_TYPES, type ChangeType } from "../domain/changes/ChangeMessage.ts"
export { defaultQuota, QUOTA_PARTS, type Quota, type QuotaChange } from "../domain/Quota.ts"
export { ReplicaId, VERDANT } from "../domain/verdant/Events.ts"
export type { LibraryUse } from "../domain/verdant/LibraryQuota.ts"
export { rootOid } from "../domain/verdant/model/Oid.ts"
export * as Timestamp from "../domain/verdant/model/Timestamp.ts"
export type { ReplicaInfo, VerdantInfo } from "../domain/verdant/views/LibraryInfo.ts"
export { WebhookId, WebhookUrl } from "../domain/webhooks/Events.ts"
export { quantileOf, type Reading, readMetrics, sumOf } from "../metrics/Readings.ts"
export { Signatures } from "../signatures/Signatures.ts"
export {
  type BackupOptions,
  type BackupPlace,
  type BackupReport,
  BackupUnusable,
  backup,
  type ListedBackup,
  listBackups,
  type MissingFile
} from "./Backup.ts"
export { type CopyOptions, type CopyReport, copy } from "./Copy.ts"
export { type Creation, createDocument } from "./Creation.ts"
export { allowAgain, type DeletionTarget, deleteForGood } from "./Deletion.ts"
export { type EventsOptions, type EventsScope, eachEvent, type LoggedEvent } from "./Events.ts"
export { type EvictedDocument, evict } from "./Eviction.ts"
export { type ExportOptions, type ExportReport, exportLog } from "./Export.ts"
export { findDamage } from "./FindDamage.ts"
export { type ImportOptions, type ImportReport, importLog, LineRefused } from "./Import.ts"
export {
  type DocumentRow,
  type ImportedDocument,
  type ImportSecsyncOptions,
  importSecsync,
  type SecsyncTables,
  SecsyncUnreadable
} from "./ImportSecsync.ts"
export {
  type ImportedLibrary,
  type ImportVerdantOptions,
  importVerdant,
  type VerdantBytes,
  type VerdantSource
} from "./ImportVerdant.ts"
export {
  type DocumentDetails,
  eachStream,
  endingsOf,
  type LibraryDetails,
  listDocuments,
  showDocument,
  showLibrary
} from "./Inspect.ts"
export { documentSnapshot, forceTruant, libraryInfo } from "./InspectVerdant.ts"
export { documentBytesIn, quotaOf, resetQuota, setQuota } from "./LibraryQuota.ts"
export { type ListedLibrary, makeNearestQuotas } from "./NearestQuota.ts"
export { type PrunedDocument, type PruneOptions, prune } from "./Pruning.ts"
export { quotaUse } from "./QuotaUse.ts"
export { type Problem, type ReplayOptions, type ReplayReport, replay, type Until } from "./Replay.ts"
export { nothingReplicated, type ReplicateOptions, type ReplicationStatus, replicate } from "./Replicate.ts"
export {
  FilesNotNamed,
  type RestoreOptions,
  type RestoreReport,
  restore,
  TargetNotEmpty,
  type VerifyOptions,
  type VerifyReport,
  verifyBackup
} from "./Restore.ts"
export { logEpoch, markRestored, type RestoredReport } from "./Restored.ts"
export {
  forgetKeys,
  isSuspended,
  type Revocation,
  type Revocations,
  resume,
  revocations,
  revoke,
  suspend
} from "./Revocation.ts"
export {
  type CheckpointProof,
  checkSince,
  LogNotContinued,
  makeCheckpoint,
  proveCheckpoint,
  type SignedCheckpoint
} from "./SignedCheckpoints.ts"
export { demote, NotAStandby, promote } from "./Standby.ts"
export { type Statistics, statistics } from "./Statistics.ts"
export { type VerdantRow, type VerdantTables, VerdantUnreadable } from "./transfer/VerdantRows.ts"
export {
  addWebhook,
  type DeadLetter,
  listWebhooks,
  MAX_WEBHOOKS,
  type NewWebhook,
  NoSuchWebhook,
  type Replay,
  removeWebhook,
  replayWebhook,
  showWebhook,
  TooManyWebhooks,
  testWebhook,
  type WebhookDetails,
  type WebhookSummary
} from "./Webhooks.ts"
