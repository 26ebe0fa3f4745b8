import * as Flags from "@oclif/core/flags"
import type { RestoreReport, VerifyReport } from "@sealog/server/admin"
import { restore, Signatures, verifyBackup } from "@sealog/server/admin"
import { BlobStore } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { build } from "effect/Layer"
import { BaseCommand } from "../BaseCommand.ts"
import { backupPlaceOf } from "../backends/backupPlace.ts"
import { blobStoreOf } from "../backends/blobStore.ts"
import { backendOf } from "../backends/storage.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { printMissing, printVerified } from "../output/backups.ts"
import { count, makeProgress, time } from "../output/format.ts"

interface RestoreResult extends RestoreReport {
  readonly dryRun: boolean
  /** Parts of the backup that are damaged. Without --dry-run the command fails at the first. */
  readonly damagedParts: VerifyReport["damagedParts"]
}

export default class Restore extends BaseCommand<RestoreResult> {
  static override summary = "Restore a backup into an empty database and an empty place for files."
  static override description =
    `The database is created and migrated if it is not; a Postgres database has to exist. Files are restored first, and then the log. The restored log is verified by all rules of \`sync-admin replay\`, and marked: it begins a new epoch, and servers ask clients for what they know more, as after \`sync-admin restored\`. Start the servers when the command has ended.

A restore that was interrupted is not continued: delete what it left, and run the command again. With --dry-run it verifies the backup as \`sync-admin backup verify\` does, and writes nothing. Exit code 1 if problems were found or files are missing.`
  static override examples = [
    "<%= config.bin %> restore --from ./backups --files ./data/files",
    "<%= config.bin %> restore --from s3://backups/sealog --backup 12 --database sqlite:./restored.db --without-files",
    "<%= config.bin %> restore --from ./backups --dry-run"
  ]
  static override flags = {
    ...operatorFlags,
    from: Flags.string({
      description: "place of the backups: a directory, or s3://BUCKET/PREFIX (configured by S3_… variables)",
      env: "SEALOG_BACKUPS",
      required: true
    }),
    backup: Flags.integer({ description: "number of the backup (default: the newest one)", min: 1 }),
    files: Flags.string({
      description: "empty place for uploaded files: a directory, or s3 (configured by S3_… variables)",
      env: "SEALOG_FILES"
    }),
    "without-files": Flags.boolean({ description: "leave uploaded files out", default: false, exclusive: ["files"] }),
    "dry-run": Flags.boolean({ description: "only verify the backup", default: false })
  }

  async run(): Promise<RestoreResult> {
    const { flags } = await this.parse(Restore)
    const place = await backupPlaceOf(flags.from, { mustExist: true })
    const progress = makeProgress("restore")
    const options = { number: flags.backup, onProgress: progress.update }
    if (flags["dry-run"]) {
      const verifying = Effect.flatMap(place, (opened) => verifyBackup(opened, options))
      const verified = await this.execute(Effect.scoped(Effect.provide(verifying, Signatures.layerBatch))).finally(
        progress.end
      )
      if (!printVerified((text) => this.print(text), verified)) process.exitCode = 1
      return { ...verified, epoch: null, dryRun: true }
    }
    const by = attributionOf(flags)
    const backend = await backendOf(flags.database)
    const store = flags.files === undefined ? undefined : await blobStoreOf(flags.files)
    const restoring = Effect.gen(function* () {
      const named = store === undefined ? undefined : yield* Effect.provide(BlobStore, store)
      const files = flags["without-files"] ? ("left out" as const) : named
      return yield* restore(yield* place, yield* build(backend.migrated), { ...options, ...by, files })
    })
    const report = await this.execute(Effect.scoped(Effect.provide(restoring, Signatures.layerBatch))).finally(
      progress.end
    )
    for (const { libraryId, streamId, version, problem, detail } of report.problems) {
      this.print(`${libraryId}/${streamId} version ${version}: ${problem}: ${detail}`)
    }
    printMissing((text) => this.print(text), report)
    const { epoch, events, files, number, problemCount, startedAt, streams } = report
    this.print(
      `Restored backup ${number} of ${time(startedAt)} UTC into ${backend.label}: ${count(events, "event")} in ${count(streams, "stream")}, ${count(files, "file")}: ${problemCount === 0 ? "all as written" : count(problemCount, "problem")}.`
    )
    this.print(`Marked: this is epoch ${epoch} of the log. Start the servers.`)
    if (problemCount > 0 || report.filesMissing > 0) process.exitCode = 1
    return { ...report, damagedParts: [], dryRun: false }
  }
}
