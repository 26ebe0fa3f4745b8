/** Restores a backup into an empty log and an empty store of files, and verifies backups. */
import { Context, Effect, Schema, Stream } from "effect"
import type { Attribution } from "../domain/Administration.ts"
import type { BlobStore } from "../ports/BlobStore.ts"
import { EventLog } from "../ports/EventLog.ts"
import type { Signals } from "../ports/Signals.ts"
import type { MissingFile } from "./Backup.ts"
import { checkFile, copyFile } from "./backup/BackedUpFiles.ts"
import {
  type BackupPlace,
  BackupUnusable,
  checkPart,
  type ListedFile,
  type Manifest,
  readList
} from "./backup/Format.ts"
import { findBackup, openBackup } from "./backup/readBackup.ts"
import { copy } from "./Copy.ts"
import { type ReplayReport, replay } from "./Replay.ts"
import { markRestored } from "./Restored.ts"

export interface RestoreOptions extends Attribution {
  /** Default: the newest complete backup. */
  readonly number?: number | undefined
  /** The empty store that the servers will use, or "left out". Default: none, which is refused if the backup holds files. */
  readonly files?: BlobStore["Service"] | "left out" | undefined
  /** Called after every page. */
  readonly onProgress?: (events: number, total: number) => void
}

export interface RestoreReport extends ReplayReport {
  readonly number: number
  /** When the backup was started, milliseconds since 1970. */
  readonly startedAt: number
  readonly files: number
  readonly fileBytes: number
  readonly filesMissing: number
  /** The first 100. */
  readonly missingFiles: ReadonlyArray<MissingFile>
  /** The epoch that the restored log has begun; null: nothing was restored. */
  readonly epoch: number | null
}

/** The database or the store of files holds something. Nothing was restored. */
export class TargetNotEmpty extends Schema.TaggedError<TargetNotEmpty>()("TargetNotEmpty", {
  target: Schema.Literals(["database", "files"])
}) {
  override get message(): string {
    return this.target === "database"
      ? "The database holds events already, and a backup is restored into an empty one."
      : "The store of files holds files already, and a backup is restored into an empty one."
  }
}

/** The backup holds files, and no store was named for them. Nothing was restored. */
export class FilesNotNamed extends Schema.TaggedError<FilesNotNamed>()("FilesNotNamed", { files: Schema.Finite }) {
  override get message(): string {
    return `The backup holds ${this.files} uploaded ${this.files === 1 ? "file" : "files"}, and no store for them is named.`
  }
}

const FILES_AT_A_TIME = 4
const MAX_NAMED = 100

const toMissing = ({ libraryId, fileId, blob }: ListedFile, detail: string): MissingFile => ({
  ...{ libraryId, fileId, blob, detail }
})

/**
 * Restores a backup: its files, then its log. Then verifies the restored log by all rules of a replay, and marks the restore, so
 * that servers ask clients for what they know more. The target is an empty, migrated database.
 */
export const restore = Effect.fn("restore")(function* (
  place: BackupPlace,
  target: Context.Context<EventLog | Signals>,
  { number, files, onProgress, ...by }: RestoreOptions = {}
) {
  const manifest = yield* findBackup(place, number)
  const source = yield* openBackup(place, manifest)
  const [found] = yield* Context.get(target, EventLog).streams({ limit: 1, payloads: false })
  if (found !== undefined) return yield* new TargetNotEmpty({ target: "database" })
  const store = files === "left out" ? undefined : files
  if (files === undefined && manifest.files.count > 0) return yield* new FilesNotNamed({ files: manifest.files.count })
  if (store !== undefined && (yield* Stream.runHead(store.list))._tag === "Some") {
    return yield* new TargetNotEmpty({ target: "files" })
  }
  const restored = yield* restoreFiles(place, manifest, store)
  yield* Effect.provideService(copy(target, { ...(onProgress && { onProgress }) }), EventLog, source)
  const report = yield* Effect.provideContext(replay({ ...(onProgress && { onProgress }) }), target)
  const { epoch } = yield* Effect.provideContext(markRestored(by), target)
  return {
    ...report,
    number: manifest.number,
    startedAt: manifest.startedAt,
    ...restored,
    epoch
  } satisfies RestoreReport
})

const restoreFiles = Effect.fnUntraced(function* (
  place: BackupPlace,
  { files: list }: Manifest,
  to: BlobStore["Service"] | undefined
) {
  let [files, fileBytes] = [0, 0]
  const missing = yield* Effect.forEach(
    to === undefined ? [] : yield* readList(place.log, list),
    Effect.fnUntraced(function* (file) {
      const problem = file.held && to !== undefined ? yield* copyFile(place.files, to, file) : "never held"
      if (problem !== undefined) return [toMissing(file, PROBLEMS[problem])]
      files += 1
      fileBytes += file.size
      return []
    }),
    { concurrency: FILES_AT_A_TIME }
  )
  const missingFiles = missing.flat()
  return { files, fileBytes, filesMissing: missingFiles.length, missingFiles: missingFiles.slice(0, MAX_NAMED) }
})

const PROBLEMS = {
  "never held": "the backup never held it",
  missing: "the backup has lost it",
  changed: "its bytes in the backup were changed after they were written"
} as const

export interface VerifyOptions {
  readonly number?: number | undefined
  readonly onProgress?: (events: number, total: number) => void
}

export interface VerifyReport extends Omit<RestoreReport, "epoch"> {
  /** Segments and lists that are missing, or are not as they were written. */
  readonly damagedParts: ReadonlyArray<{ readonly part: string; readonly detail: string }>
}

/** Reads all of a backup: compares every part with its hash, and verifies its log by all rules of a replay. Writes nothing. */
export const verifyBackup = Effect.fn("verifyBackup")(function* (
  place: BackupPlace,
  { number, onProgress }: VerifyOptions = {}
) {
  const manifest = yield* findBackup(place, number)
  const damagedParts: Array<{ readonly part: string; readonly detail: string }> = []
  /** Runs a check. A part that it finds damaged is named once. */
  const unlessDamaged = <A, E, R>(check: Effect.Effect<A, E | BackupUnusable, R>, otherwise: A) =>
    Effect.catch(check, (error) => {
      if (!(error instanceof BackupUnusable)) return Effect.fail(error as Exclude<E, BackupUnusable>)
      const { detail, part } = error
      if (!damagedParts.some((found) => found.part === part)) damagedParts.push({ part, detail })
      return Effect.succeed(otherwise)
    })
  for (const part of [...manifest.segments, manifest.files]) yield* unlessDamaged(checkPart(place.log, part), undefined)
  const nothing: ReplayReport = { streams: 0, events: 0, payloads: 0, problems: [], problemCount: 0 }
  const nothingHeld = { files: 0, fileBytes: 0, filesMissing: 0, missingFiles: [] as ReadonlyArray<MissingFile> }
  const replaying = Effect.flatMap(openBackup(place, manifest), (log) =>
    Effect.provideService(replay({ ...(onProgress && { onProgress }) }), EventLog, log)
  )
  const report = yield* unlessDamaged(replaying, nothing)
  const checked = yield* unlessDamaged(
    Effect.flatMap(readList(place.log, manifest.files), (list) => checkFiles(place, list)),
    nothingHeld
  )
  const { number: found, startedAt } = manifest
  return { ...report, number: found, startedAt, ...checked, damagedParts } satisfies VerifyReport
})

const checkFiles = Effect.fnUntraced(function* ({ files }: BackupPlace, list: ReadonlyArray<ListedFile>) {
  const missing = yield* Effect.forEach(
    list,
    Effect.fnUntraced(function* (file) {
      if (!file.held) return [toMissing(file, PROBLEMS["never held"])]
      const problem = yield* checkFile(files, file)
      return problem === undefined ? [] : [toMissing(file, PROBLEMS[problem])]
    }),
    { concurrency: FILES_AT_A_TIME }
  )
  const missingFiles = missing.flat()
  return {
    files: list.length - missingFiles.length,
    fileBytes: list.reduce((sum, { size }) => sum + size, 0),
    ...{ filesMissing: missingFiles.length, missingFiles: missingFiles.slice(0, MAX_NAMED) }
  }
})
