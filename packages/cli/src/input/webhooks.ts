/** The id, the URL and the types of a webhook, as the command line gives them. */
import { CHANGE_TYPES, type ChangeType, WebhookId, WebhookUrl } from "@sealog/server/admin"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { CliFailure } from "../output/CliFailure.ts"
import { noSuchWebhook } from "../output/notFound.ts"

/** Fails with `NO_SUCH_WEBHOOK`. */
export const webhookIdOf = (text: string): WebhookId =>
  Option.getOrThrowWith(Schema.decodeOption(WebhookId)(text), () => noSuchWebhook(text))

/** Fails with `WEBHOOK_URL_INVALID`. The message leaves out the URL, which may hold a password. */
export const webhookUrlOf = (text: string): string => {
  const url = URL.parse(text)
  if (url !== null && url.username + url.password === "" && Schema.is(WebhookUrl)(text)) return text
  throw new CliFailure({
    code: "WEBHOOK_URL_INVALID",
    message: "This is not a URL that a webhook can have.",
    exitCode: 2,
    tryThis: "https://app.example.org/hooks/sealog, without a user, at most 2,000 characters"
  })
}

/** Fails with `CHANGE_TYPE_INVALID`. */
export const changeTypesOf = (texts: ReadonlyArray<string>): ReadonlyArray<ChangeType> =>
  Array.from(new Set(texts), (text) => {
    const type = CHANGE_TYPES.find((known) => known === text)
    if (type !== undefined) return type
    throw new CliFailure({
      code: "CHANGE_TYPE_INVALID",
      message: `No change has the type ${JSON.stringify(text)}.`,
      exitCode: 2,
      tryThis: CHANGE_TYPES.join(", ")
    })
  })
