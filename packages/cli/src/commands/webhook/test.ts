import * as Args from "@oclif/core/args"
import { BaseCommand } from "../../BaseCommand.ts"
import { targetFlags } from "../../input/server.ts"
import { webhookIdOf } from "../../input/webhooks.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface WebhookTestResult {
  readonly id: string
  /** The HTTP status of the receiver's answer. */
  readonly status: number
}

export default class WebhookTest extends BaseCommand<WebhookTestResult> {
  static override summary = "Send a signed test message to a webhook, once."
  static override description =
    "The message has the type `webhook.test`. It is sent from this machine, and with --server from that server, which may reach other addresses."
  static override examples = ["<%= config.bin %> webhook test 0a1b2c3d4e5f"]
  static override args = {
    webhookId: Args.string({ description: "id of the webhook, as `sync-admin webhook list` shows it", required: true })
  }
  static override flags = targetFlags

  async run(): Promise<WebhookTestResult> {
    const { args, flags } = await this.parse(WebhookTest)
    const id = webhookIdOf(args.webhookId)
    const outcome = await this.administer(flags, ({ testWebhook }) => testWebhook(id))
    if ("problem" in outcome) {
      throw new CliFailure({
        code: "WEBHOOK_FAILED",
        message: `The receiver did not take the test message: ${outcome.problem}.`,
        exitCode: 1,
        tryThis: "check the URL in `sync-admin webhook show`, and that the receiver answers 2xx within 15 seconds"
      })
    }
    this.print(`The receiver took the test message: status ${outcome.status}.`)
    return { id, status: outcome.status }
  }
}
