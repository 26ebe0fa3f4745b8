import * as Flags from "@oclif/core/flags"
import type { ListedBackup } from "@sealog/server/admin"
import { listBackups } from "@sealog/server/admin"
import { flatMap, scoped } from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import { backupPlaceOf } from "../../backends/backupPlace.ts"
import { bytes, table, time } from "../../output/format.ts"

interface BackupListResult {
  readonly backups: ReadonlyArray<ListedBackup>
}

export default class BackupList extends BaseCommand<BackupListResult> {
  static override summary = "List the complete backups of a place."
  static override examples = ["<%= config.bin %> backup list --from ./backups"]
  static override flags = {
    from: Flags.string({
      description: "place of the backups: a directory, or s3://BUCKET/PREFIX",
      env: "SEALOG_BACKUPS",
      required: true
    })
  }

  async run(): Promise<BackupListResult> {
    const { flags } = await this.parse(BackupList)
    const place = await backupPlaceOf(flags.from, { mustExist: true })
    const backups = await this.execute(scoped(flatMap(place, listBackups)))
    const header = ["BACKUP", "STARTED (UTC)", "STREAMS", "EVENTS", "NEW EVENTS", "FILES", "SIZE"]
    const rows = backups.map((each) => [
      ...[String(each.number), time(each.startedAt), each.streams, each.events, each.written, each.files],
      bytes(each.bytes)
    ])
    this.print(rows.length === 0 ? `There is no backup in ${flags.from}.` : table(header, rows))
    return { backups }
  }
}
