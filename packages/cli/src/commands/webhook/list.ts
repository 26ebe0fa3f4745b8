import type { WebhookSummary } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"

interface WebhookListResult {
  readonly webhooks: ReadonlyArray<WebhookSummary>
}

export default class WebhookList extends BaseCommand<WebhookListResult> {
  static override summary = "List the webhooks."
  static override examples = ["<%= config.bin %> webhook list"]

  async run(): Promise<WebhookListResult> {
    const { flags } = await this.parse(WebhookList)
    const { listWebhooks } = await import("@sealog/server/admin")
    const { ago, table } = await import("../../output/format.ts")
    const webhooks = await this.executeOn(flags.database, listWebhooks())
    const rows = webhooks.map(({ createdAt, id, libraries, stopped, types, url }) => [
      id,
      url,
      libraries?.join(", ") ?? "all",
      types?.join(", ") ?? "all",
      stopped,
      ago(createdAt)
    ])
    this.print(
      webhooks.length === 0 ? "No webhooks." : table(["WEBHOOK", "URL", "LIBRARIES", "TYPES", "STOPPED", "ADDED"], rows)
    )
    return { webhooks }
  }
}
