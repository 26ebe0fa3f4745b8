import * as Flags from "@oclif/core/flags"
import type { BackupReport } from "@sealog/server/admin"
import { backup } from "@sealog/server/admin"
import { BlobStore } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import { backupPlaceOf } from "../../backends/backupPlace.ts"
import { existingBlobStoreOf } from "../../backends/blobStore.ts"
import { printMissing } from "../../output/backups.ts"
import { bytes, count, makeProgress } from "../../output/format.ts"

export default class Backup extends BaseCommand<BackupReport> {
  static override summary = "Back up the log and the uploaded files, from the last backup on."
  static override description =
    `The first backup of a place holds everything, and each later one adds what the log has gained since. Servers can keep running. A backup holds everything that was acknowledged before it began. It counts once it is complete: one that was stopped or killed leaves the place as it was. One log, and one backup at a time, uses a place.

Versions, chain values, payload hashes and the hashes of files are checked on the way, and everything that was written is read again. Exit code 1 if the log is damaged, if payloads are missing that were never purged, or if files are missing; the backup then holds the rest.

Payloads of documents and libraries that were deleted for good are taken out of the new backup. Older backups still hold them: docs/backup.md says how to remove those.`
  static override examples = [
    "<%= config.bin %> backup --to ./backups --files ./data/files",
    "<%= config.bin %> backup --to s3://backups/sealog --files s3 --database postgres://sealog@localhost/sealog"
  ]
  static override flags = {
    to: Flags.string({
      description: "place of this log's backups: a directory, or s3://BUCKET/PREFIX (configured by S3_… variables)",
      env: "SEALOG_BACKUPS",
      required: true
    }),
    files: Flags.string({
      description: "where the servers keep uploaded files: a directory, or s3 (default: files are not backed up)",
      env: "SEALOG_FILES"
    })
  }

  async run(): Promise<BackupReport> {
    const { flags } = await this.parse(Backup)
    const place = await backupPlaceOf(flags.to, { mustExist: false })
    const store = flags.files === undefined ? undefined : await existingBlobStoreOf(flags.files)
    const progress = makeProgress("backup")
    const backingUp = Effect.gen(function* () {
      const files = store === undefined ? undefined : yield* Effect.provide(BlobStore, store)
      return yield* backup(yield* place, { files, onProgress: progress.update })
    })
    const report = await this.executeOn(flags.database, Effect.scoped(backingUp)).finally(progress.end)
    for (const { libraryId, streamId, version, problem, detail } of report.problems) {
      this.print(`${libraryId}/${streamId} version ${version}: ${problem}: ${detail}`)
    }
    printMissing((text) => this.print(text), report)
    const { erasedSegments, events, written } = report
    this.print(
      `Backup ${report.number} in ${flags.to}: ${count(written, "new event")} of ${count(events, "event")} (${bytes(report.bytes)}), ${count(report.files, "new file")} (${bytes(report.fileBytes)}).`
    )
    if (erasedSegments > 0) {
      this.print(
        `Content that was deleted for good is not in it (${count(erasedSegments, "segment")} written again). Older backups still hold it.`
      )
    }
    if (report.problemCount > 0 || report.filesMissing > 0) process.exitCode = 1
    return report
  }
}
