import * as Args from "@oclif/core/args"
import { BaseCommand } from "../../BaseCommand.ts"
import { attributionOf, operatorFlags } from "../../input/operator.ts"
import { targetFlags } from "../../input/server.ts"
import { webhookIdOf } from "../../input/webhooks.ts"

interface WebhookRemoveResult {
  readonly id: string
}

export default class WebhookRemove extends BaseCommand<WebhookRemoveResult> {
  static override summary = "Remove a webhook, and delete its secret from the log."
  static override description =
    "No server begins another delivery, within a second on most storages. The log keeps that the webhook was there, and its URL."
  static override examples = ["<%= config.bin %> webhook remove 0a1b2c3d4e5f"]
  static override args = {
    webhookId: Args.string({ description: "id of the webhook, as `sync-admin webhook list` shows it", required: true })
  }
  static override flags = { ...targetFlags, ...operatorFlags }

  async run(): Promise<WebhookRemoveResult> {
    const { args, flags } = await this.parse(WebhookRemove)
    const id = webhookIdOf(args.webhookId)
    const by = attributionOf(flags)
    await this.administer(flags, ({ removeWebhook }) => removeWebhook(id, { by }))
    this.print(`Removed webhook ${id}.`)
    return { id }
  }
}
