import { Effect } from "effect"
import { serverAdministration } from "../domain/Administration.ts"
import type { StreamKey } from "../domain/Stream.ts"
import { type WebhookId, webhookOf } from "../domain/webhooks/Events.ts"
import type { EventLog } from "../ports/EventLog.ts"

const PAGE = 500

/** The ids of all webhooks that were ever added. */
export const listWebhookIds = Effect.fnUntraced(function* (log: EventLog["Service"]) {
  const ids: Array<WebhookId> = []
  let after: StreamKey | undefined
  while (true) {
    const { libraryId } = serverAdministration
    const page = yield* log.streams({ libraryId, limit: PAGE, payloads: false, ...(after && { after }) })
    ids.push(...page.flatMap(({ key }) => webhookOf(key) ?? []))
    after = page.at(-1)?.key
    if (page.length < PAGE) return ids
  }
})
