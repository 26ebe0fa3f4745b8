import * as Flags from "@oclif/core/flags"
import type { VerifyReport } from "@sealog/server/admin"
import { Signatures, verifyBackup } from "@sealog/server/admin"
import * as Effect from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import { backupPlaceOf } from "../../backends/backupPlace.ts"
import { printVerified } from "../../output/backups.ts"
import { makeProgress } from "../../output/format.ts"

export default class BackupVerify extends BaseCommand<VerifyReport> {
  static override summary = "Read a backup, and verify that it restores."
  static override description =
    `Every part is compared with its hash, and the log in it is verified by all rules of \`sync-admin replay\`. Nothing is written. It prints a line for each damaged part, problem and missing file, and exits with 1 if there is any.`
  static override examples = [
    "<%= config.bin %> backup verify --from ./backups",
    "<%= config.bin %> backup verify --from s3://backups/sealog --backup 12"
  ]
  static override flags = {
    from: Flags.string({
      description: "place of the backups: a directory, or s3://BUCKET/PREFIX",
      env: "SEALOG_BACKUPS",
      required: true
    }),
    backup: Flags.integer({ description: "number of the backup (default: the newest one)", min: 1 })
  }

  async run(): Promise<VerifyReport> {
    const { flags } = await this.parse(BackupVerify)
    const place = await backupPlaceOf(flags.from, { mustExist: true })
    const progress = makeProgress("verify")
    const verifying = Effect.flatMap(place, (opened) =>
      verifyBackup(opened, { number: flags.backup, onProgress: progress.update })
    )
    const report = await this.execute(Effect.scoped(Effect.provide(verifying, Signatures.layerBatch))).finally(
      progress.end
    )
    const isSound = printVerified((text) => this.print(text), report)
    if (!isSound) process.exitCode = 1
    return report
  }
}
