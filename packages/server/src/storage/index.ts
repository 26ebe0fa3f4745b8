/**
 * Everything that the author of a storage needs besides the ports.
 *
 * @module @sealog/server/storage
 */
export { type Medium, makeTransportSignals } from "../adapters/TransportSignals.ts"
export { errorText } from "../domain/errorText.ts"
export { advance, emptyHead, place, purgesBefore } from "../domain/Stream.ts"
export { type Answer, answerJobs, type JobThreads, makeJobThreads } from "../internal/JobThreads.ts"
export { nextTurn } from "../internal/nextTurn.ts"
export { type Finding, migrationsFinding } from "./Diagnosis.ts"
export {
  type EventRow,
  eventOf,
  hashBytes,
  hashText,
  headAfter,
  type LibraryRow,
  librarySummaryOf,
  type PlacedEventRow,
  placedEventsOf,
  type StreamRow,
  streamSummaryOf,
  type TailRow,
  tailOf
} from "./EventCodec.ts"
export {
  type AppliedMigration,
  type MigrationStatus,
  migrationStatusOf,
  missingMigrations
} from "./MigrationStatus.ts"
export { PayloadCodec } from "./PayloadCodec.ts"
export {
  asUnavailable,
  type FailedStatement,
  type FailureKind,
  makeUnavailable,
  rootCauseOf
} from "./StorageFailure.ts"
