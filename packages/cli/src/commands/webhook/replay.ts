import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { LibraryId } from "@sealog/server/ports"
import { BaseCommand } from "../../BaseCommand.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { attributionOf, operatorFlags } from "../../input/operator.ts"
import { targetFlags } from "../../input/server.ts"
import { webhookIdOf } from "../../input/webhooks.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface WebhookReplayResult {
  readonly id: string
  /** The libraries that waited, and go on. */
  readonly libraries: ReadonlyArray<string>
}

export default class WebhookReplay extends BaseCommand<WebhookReplayResult> {
  static override summary = "Deliver a webhook's dead letters, and what waits behind them."
  static override description =
    `Each library goes on with the change that the receiver did not take, in order, within a second on most storages. With --skip, it goes on after that change, and the receiver never gets it.`
  static override examples = [
    "<%= config.bin %> webhook replay 0a1b2c3d4e5f",
    "<%= config.bin %> webhook replay 0a1b2c3d4e5f --library notes --skip --reason 'the receiver cannot read it'"
  ]
  static override args = {
    webhookId: Args.string({ description: "id of the webhook, as `sync-admin webhook list` shows it", required: true })
  }
  static override flags = {
    ...targetFlags,
    ...operatorFlags,
    library: Flags.string({ description: "only this library (default: all that wait)" }),
    skip: Flags.boolean({
      description: "leave out the change that the receiver did not take; needs --library",
      default: false
    })
  }

  async run(): Promise<WebhookReplayResult> {
    const { args, flags } = await this.parse(WebhookReplay)
    if (flags.skip && flags.library === undefined) {
      throw new CliFailure({
        code: "USAGE",
        message: "--skip leaves out one change of one library.",
        exitCode: 2,
        tryThis: "--library NAME --skip, after `sync-admin webhook show`"
      })
    }
    const id = webhookIdOf(args.webhookId)
    const scope: { readonly libraryId?: LibraryId } =
      flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }
    const by = attributionOf(flags)
    const libraries = await this.administer(flags, ({ replayWebhook }) =>
      replayWebhook(id, { ...scope, skip: flags.skip }, { by })
    )
    this.print(libraries.length === 0 ? "Nothing waits for a replay." : `Goes on: ${libraries.join(", ")}`)
    return { id, libraries }
  }
}
