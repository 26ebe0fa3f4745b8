import type { RestoredReport } from "@sealog/server/admin"
import { promote } from "@sealog/server/admin"
import { BaseCommand } from "../BaseCommand.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { ago } from "../output/format.ts"

export default class Promote extends BaseCommand<RestoredReport> {
  static override summary = "Make a standby writable, so that servers can start on it."
  static override description =
    `First make sure that no server writes to the log that was copied: two logs that both go on cannot be joined again. docs/standby.md says how. Stop \`sync-admin replicate\`; one that still runs stops by itself.

The log begins a new epoch, as after \`sync-admin restored\`: clients that know more than the standby holds are asked for it. For a move out of SQLite, \`sync-admin replicate --promote\` does it all, and nobody is asked.`
  static override examples = [
    '<%= config.bin %> promote --database postgres://sealog@standby/sealog --reason "the primary\'s disk failed"'
  ]
  static override flags = operatorFlags

  async run(): Promise<RestoredReport> {
    const { flags } = await this.parse(Promote)
    const report = await this.executeOn(flags.database, promote(attributionOf(flags)))
    const { epoch, writtenUntil } = report
    const last = writtenUntil === null ? "It holds no library." : `Its last event was written ${ago(writtenUntil)}.`
    this.print(`Promoted: this is epoch ${epoch} of the log. ${last} Start the servers on it.`)
    return report
  }
}
