/** Deeds on webhooks. */
import {
  addWebhook,
  listWebhooks,
  type NoSuchWebhook,
  removeWebhook,
  replayWebhook,
  showWebhook,
  testWebhook
} from "@sealog/server/admin"
import type { StorageUnavailable } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { noSuchWebhook } from "../../../output/notFound.ts"
import { requireLibrary } from "../../knownLibrary.ts"
import type { Administration } from "../Administration.ts"
import type { LogDeeds } from "./LogDeeds.ts"

export const webhooks = ({
  on,
  onKnown
}: LogDeeds): Pick<
  Administration,
  "webhooks" | "webhook" | "addWebhook" | "removeWebhook" | "replayWebhook" | "testWebhook"
> => ({
  webhooks: on(listWebhooks()),
  webhook: (id) => on(orNoSuchWebhook(showWebhook(id))),
  addWebhook: (webhook, { by, newLibrary = false }) =>
    on(
      Effect.andThen(
        Effect.forEach(newLibrary ? [] : (webhook.libraries ?? []), requireLibrary),
        addWebhook(webhook, by)
      )
    ),
  removeWebhook: (id, { by }) => on(orNoSuchWebhook(removeWebhook(id, by))),
  replayWebhook: (id, replay, { by }) => onKnown(replay.libraryId, orNoSuchWebhook(replayWebhook(id, replay, by))),
  testWebhook: (id) =>
    on(
      Effect.map(orNoSuchWebhook(testWebhook(id)), (outcome) =>
        outcome._tag === "Delivered" ? { status: outcome.status } : { problem: outcome.problem }
      )
    )
})

const orNoSuchWebhook = <A, R>(deed: Effect.Effect<A, StorageUnavailable | NoSuchWebhook, R>) =>
  Effect.mapError(deed, (error) => (error._tag === "NoSuchWebhook" ? noSuchWebhook(error.id) : error))
