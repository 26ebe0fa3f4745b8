import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { BaseCommand } from "../../BaseCommand.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { newLibraryFlag } from "../../input/newLibrary.ts"
import { attributionOf, operatorFlags } from "../../input/operator.ts"
import { targetFlags } from "../../input/server.ts"
import { changeTypesOf, webhookUrlOf } from "../../input/webhooks.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface WebhookAddResult {
  readonly id: string
  /** The only time that it is shown. */
  readonly secret: string
}

export default class WebhookAdd extends BaseCommand<WebhookAddResult> {
  static override summary = "Deliver changes to a URL, and print the secret that signs them."
  static override description =
    `The servers on this log deliver from then on, signed after Standard Webhooks: at least once, and in order for a library. The secret is shown this once; the log keeps it readable, as backups and exports of the log do.

The servers open connections to the URL from where they run, also to private addresses. They follow no redirects.`
  static override examples = [
    "<%= config.bin %> webhook add https://app.example.org/hooks/sealog",
    "<%= config.bin %> webhook add https://app.example.org/hooks/sealog --library notes --type verdant.changed",
    "<%= config.bin %> webhook add https://app.example.org/hooks/sealog --from-start"
  ]
  static override args = { url: Args.string({ description: "http: or https: URL of the receiver", required: true }) }
  static override flags = {
    ...targetFlags,
    ...operatorFlags,
    ...newLibraryFlag,
    library: Flags.string({
      description: "deliver the changes of this library only (can be repeated, at most 100; default: all libraries)",
      multiple: true
    }),
    type: Flags.string({
      description: "deliver changes of this type only, such as verdant.changed (can be repeated; default: all types)",
      multiple: true
    }),
    "from-start": Flags.boolean({
      description: "begin with the first change of the log (default: with the next change)",
      default: false
    })
  }

  async run(): Promise<WebhookAddResult> {
    const { args, flags } = await this.parse(WebhookAdd)
    const libraries = flags.library?.map(libraryIdOf)
    if (libraries !== undefined && libraries.length > MAX_LIBRARIES) {
      throw new CliFailure({
        code: "USAGE",
        message: `A webhook names at most ${MAX_LIBRARIES} libraries, not ${libraries.length}.`,
        exitCode: 2,
        tryThis: "no --library, for all of them, or several webhooks"
      })
    }
    const webhook = {
      url: webhookUrlOf(args.url),
      ...(libraries === undefined ? {} : { libraries }),
      ...(flags.type === undefined ? {} : { types: changeTypesOf(flags.type) }),
      from: flags["from-start"] ? "start" : "now"
    } as const
    const change = { by: attributionOf(flags), newLibrary: flags["new-library"] }
    const { id, secret } = await this.administer(flags, ({ addWebhook }) => addWebhook(webhook, change))
    this.print(`Added webhook ${id}. Its secret, which is not shown again:\n${secret}`)
    return { id, secret }
  }
}

const MAX_LIBRARIES = 100
