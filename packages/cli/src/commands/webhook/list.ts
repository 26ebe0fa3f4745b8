import type { WebhookSummary } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"
import { targetFlags } from "../../input/server.ts"
import { ago, table } from "../../output/format.ts"

interface WebhookListResult {
  readonly webhooks: ReadonlyArray<WebhookSummary>
}

export default class WebhookList extends BaseCommand<WebhookListResult> {
  static override summary = "List the webhooks."
  static override examples = ["<%= config.bin %> webhook list"]
  static override flags = targetFlags

  async run(): Promise<WebhookListResult> {
    const { flags } = await this.parse(WebhookList)
    const webhooks = await this.administer(flags, ({ webhooks }) => webhooks)
    const rows = webhooks.map(({ createdAt, deliveredAt, id, libraries, stopped, types, url }) => [
      id,
      url,
      libraries?.join(", ") ?? "all",
      types?.join(", ") ?? "all",
      stopped,
      deliveredAt === null ? "none known" : ago(deliveredAt),
      ago(createdAt)
    ])
    this.print(
      webhooks.length === 0
        ? "No webhooks."
        : table(["WEBHOOK", "URL", "LIBRARIES", "TYPES", "STOPPED", "DELIVERED", "ADDED"], rows)
    )
    return { webhooks }
  }
}
