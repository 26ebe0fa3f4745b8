import { Args } from "@oclif/core"
import { BaseCommand } from "../../BaseCommand.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface WebhookTestResult {
  readonly id: string
  /** The HTTP status of the receiver's answer. */
  readonly status: number
}

export default class WebhookTest extends BaseCommand<WebhookTestResult> {
  static override summary = "Send a signed test message to a webhook from this machine, once."
  static override description =
    "The message has the type `webhook.test`. The servers may reach other addresses than this machine does."
  static override examples = ["<%= config.bin %> webhook test 0a1b2c3d4e5f"]
  static override args = {
    webhookId: Args.string({ description: "id of the webhook, as `sync-admin webhook list` shows it", required: true })
  }

  async run(): Promise<WebhookTestResult> {
    const { args, flags } = await this.parse(WebhookTest)
    const { noSuchWebhook, webhookIdOf } = await import("../../input/webhooks.ts")
    const { testWebhook } = await import("@sealog/server/admin")
    const { catchTag, fail } = await import("effect/Effect")
    const { seconds } = await import("effect/Duration")
    const id = webhookIdOf(args.webhookId)
    const outcome = await this.executeOn(
      flags.database,
      catchTag(testWebhook(id, seconds(15)), "NoSuchWebhook", () => fail(noSuchWebhook(id)))
    )
    if (outcome._tag === "Failed") {
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
