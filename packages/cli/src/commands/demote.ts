import { demote } from "@sealog/server/admin"
import { BaseCommand } from "../BaseCommand.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"

interface DemoteResult {
  readonly isStandby: true
}

export default class Demote extends BaseCommand<DemoteResult> {
  static override summary = "Make a log a standby, so that no server starts on it."
  static override description =
    `For a log whose standby was promoted. Stop its servers first: those that run are told that they are not ready, and go on. Then \`sync-admin replicate --to\` can copy the promoted log into it, if it holds nothing that the promoted log lacks.`
  static override examples = ['<%= config.bin %> demote --database sqlite:./old.db --reason "moved to Postgres"']
  static override flags = operatorFlags

  async run(): Promise<DemoteResult> {
    const { flags } = await this.parse(Demote)
    await this.executeOn(flags.database, demote(attributionOf(flags)))
    this.print("The log is a standby: servers refuse it until `sync-admin promote`.")
    return { isStandby: true }
  }
}
