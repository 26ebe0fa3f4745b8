/** The server's side of the group `webhooks` of `AdminApi`. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { type WebhookId, webhookStream } from "../../domain/webhooks/Events.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { GrownStreams } from "../../protocols/changes/GrownStreams.ts"
import {
  addWebhook,
  listWebhooks,
  type NoSuchWebhook,
  removeWebhook,
  replayWebhook,
  showWebhook,
  testWebhook
} from "../Webhooks.ts"
import { AdminApi } from "./AdminApi.ts"
import { NotInLog, Unavailable, WebhooksFull } from "./AdminErrors.ts"
import { attributionOf, noteDone } from "./deeds.ts"
import { knownLibrary, orUnavailable } from "./failures.ts"

export const webhookHandlers = HttpApiBuilder.group(
  AdminApi,
  "webhooks",
  Effect.fnUntraced(function* (handlers) {
    const grown = yield* GrownStreams
    const noteChanged = (done: string, webhookId: WebhookId) =>
      Effect.andThen(
        Effect.sync(() => grown.tell(webhookStream(webhookId))),
        // Without the URL: a receiver may have its password in it.
        noteDone(done, { webhookId })
      )
    return handlers.handleAll({
      list: () => orUnavailable(listWebhooks()),
      add: Effect.fnUntraced(function* ({ payload: { newLibrary, reason, ...webhook } }) {
        if (newLibrary !== true) yield* Effect.forEach(webhook.libraries ?? [], knownLibrary, { discard: true })
        const by = yield* attributionOf(reason === undefined ? {} : { reason })
        const added = yield* addWebhook(webhook, by).pipe(
          Effect.catchTag("TooManyWebhooks", ({ message }) => Effect.fail(new WebhooksFull({ message }))),
          Effect.catchTag("StorageUnavailable", ({ message }) => Effect.fail(new Unavailable({ message })))
        )
        yield* noteChanged("webhook added", added.id)
        return added
      }),
      show: ({ params: { webhookId } }) => orNoSuchWebhook(showWebhook(webhookId)),
      remove: Effect.fnUntraced(function* ({ params: { webhookId }, payload }) {
        yield* orNoSuchWebhook(removeWebhook(webhookId, yield* attributionOf(payload)))
        yield* noteChanged("webhook removed", webhookId)
        return { changed: true }
      }),
      replay: Effect.fnUntraced(function* ({ params: { webhookId }, payload: { reason, ...replay } }) {
        if (replay.libraryId !== undefined) yield* knownLibrary(replay.libraryId)
        const by = yield* attributionOf(reason === undefined ? {} : { reason })
        const libraries = yield* orNoSuchWebhook(replayWebhook(webhookId, replay, by))
        yield* noteChanged("webhook replayed", webhookId)
        return { libraries }
      }),
      test: Effect.fnUntraced(function* ({ params: { webhookId } }) {
        const outcome = yield* orNoSuchWebhook(testWebhook(webhookId))
        return outcome._tag === "Delivered" ? { status: outcome.status } : { problem: outcome.problem }
      })
    })
  })
)

const orNoSuchWebhook = <A, R>(
  effect: Effect.Effect<A, StorageUnavailable | NoSuchWebhook, R>
): Effect.Effect<A, NotInLog | Unavailable, R> =>
  Effect.mapError(effect, (error) =>
    error._tag === "NoSuchWebhook"
      ? new NotInLog({ what: "webhook", message: error.message })
      : new Unavailable({ message: error.message })
  )
