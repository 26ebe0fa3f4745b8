import type { RestoredReport } from "@sealog/server/admin"
import { markRestored } from "@sealog/server/admin"
import { BaseCommand } from "../BaseCommand.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { ago } from "../output/format.ts"

export default class Restored extends BaseCommand<RestoredReport> {
  static override summary = "Say that the database was restored from a backup."
  static override description =
    `Clients may know more than the restored log holds. Within seconds every server closes its clients, opens all documents as the log holds them, and asks the clients that know more for what they have. The servers' logs name the documents and devices; sealog_clients_ahead_total counts them.

Run it once after each restore, before or after the servers start. Nothing is deleted. Without it, a client waits if the log does not hold its snapshot, and Verdant devices keep what newcomers do not see.`
  static override examples = [
    "<%= config.bin %> restored",
    '<%= config.bin %> restored --as ada --reason "the disk of the 3rd of May"'
  ]
  static override flags = operatorFlags

  async run(): Promise<RestoredReport> {
    const { flags } = await this.parse(Restored)
    const report = await this.executeOn(flags.database, markRestored(attributionOf(flags)))
    const { epoch, libraries, writtenUntil } = report
    this.print(`Marked: this is epoch ${epoch} of the log.`)
    this.print(
      writtenUntil === null
        ? "The log holds no library. Clients are asked for everything that they have."
        : `The log holds ${libraries} ${libraries === 1 ? "library" : "libraries"}; its last event was written ${ago(writtenUntil)}. Clients are asked for what was written since.`
    )
    return report
  }
}
