import * as Args from "@oclif/core/args"
import type { WebhookDetails } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"
import { targetFlags } from "../../input/server.ts"
import { webhookIdOf } from "../../input/webhooks.ts"
import { ago, count, table } from "../../output/format.ts"

export default class WebhookShow extends BaseCommand<WebhookDetails> {
  static override summary = "Show a webhook, how far it is behind, and its dead letters."
  static override description =
    `A dead letter is a range of changes of a library: the receiver did not take the first one, and the others wait behind it. They stay in the log. After the receiver is mended, \`sync-admin webhook replay\` delivers them.`
  static override examples = ["<%= config.bin %> webhook show 0a1b2c3d4e5f"]
  static override args = {
    webhookId: Args.string({ description: "id of the webhook, as `sync-admin webhook list` shows it", required: true })
  }
  static override flags = targetFlags

  async run(): Promise<WebhookDetails> {
    const { args, flags } = await this.parse(WebhookShow)
    const id = webhookIdOf(args.webhookId)
    const shown = await this.administer(flags, ({ webhook }) => webhook(id))
    this.print(`${shown.id} ${shown.url}
libraries  ${shown.libraries?.join(", ") ?? "all"}
types      ${shown.types?.join(", ") ?? "all"}
added      ${ago(shown.createdAt)}
delivered  ${shown.deliveredAt === null ? "none known" : ago(shown.deliveredAt)}
behind     ${count(shown.streamsBehind, "stream")}`)
    if (shown.deadLetters.length === 0) this.print("No dead letters.")
    else {
      const rows = shown.deadLetters.map(
        ({ attempts, fromVersion, libraryId, problem, since, streamId, toVersion }) => [
          libraryId,
          streamId,
          `${fromVersion} to ${toVersion}`,
          attempts,
          problem,
          ago(since)
        ]
      )
      this.print(`\n${table(["LIBRARY", "STREAM", "VERSIONS", "ATTEMPTS", "ANSWER", "SINCE"], rows)}`)
    }
    return shown
  }
}
