/** The deeds of an operator on the database. Each kind is loaded when one of it is done: a list needs none of Verdant's rules. */
import type { EventLog, Signals } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { backendOf } from "../storage.ts"
import type { Administration } from "./Administration.ts"
import { type LogOptions, logDeeds } from "./log/LogDeeds.ts"

/** Lets deeds run on the log of an existing, migrated database. `files`: where uploaded files are, for deeds that delete them. */
export const administerLog = async <A, E>(
  { database, files }: { readonly database: string; readonly files?: string | undefined },
  use: (administration: Administration) => Effect.Effect<A, E>
) => {
  const { existing, size } = await backendOf(database)
  const store = files === undefined ? undefined : await (await import("../blobStore.ts")).existingBlobStoreOf(files)
  return Effect.provide(Effect.flatMap(onLog({ files: store, size }), use), existing)
}

const onLog = (options: LogOptions) =>
  Effect.map(Effect.context<EventLog | Signals>(), (services): Administration => {
    const log = logDeeds(services, options)
    const reading = kind(async () => (await import("./log/reading.ts")).reading(log))
    const verdant = kind(async () => (await import("./log/verdant.ts")).verdant(log))
    const access = kind(async () => (await import("./log/access.ts")).access(log))
    const payloads = kind(async () => (await import("./log/payloads.ts")).payloads(log))
    const webhooks = kind(async () => (await import("./log/webhooks.ts")).webhooks(log))

    return {
      libraries: reading(({ libraries }) => libraries),
      library: (libraryId) => reading((deeds) => deeds.library(libraryId)),
      documents: (libraryId) => reading((deeds) => deeds.documents(libraryId)),
      document: (libraryId, documentId) => reading((deeds) => deeds.document(libraryId, documentId)),
      eachEvent: (scope, options, visit) => reading((deeds) => deeds.eachEvent(scope, options, visit)),
      statistics: (libraryId) => reading((deeds) => deeds.statistics(libraryId)),
      verdant: (libraryId) => verdant((deeds) => deeds.verdant(libraryId)),
      verdantDocument: (libraryId, collection, id) =>
        verdant((deeds) => deeds.verdantDocument(libraryId, collection, id)),
      truant: (libraryId, replicaId) => verdant((deeds) => deeds.truant(libraryId, replicaId)),
      quota: (libraryId) => verdant((deeds) => deeds.quota(libraryId)),
      suspend: (libraryId, change) => access((deeds) => deeds.suspend(libraryId, change)),
      resume: (libraryId, change) => access((deeds) => deeds.resume(libraryId, change)),
      revoke: (revocation, change) => access((deeds) => deeds.revoke(revocation, change)),
      forgetKeys: (libraryId, userId, change) => access((deeds) => deeds.forgetKeys(libraryId, userId, change)),
      setQuota: (libraryId, quota, change) => access((deeds) => deeds.setQuota(libraryId, quota, change)),
      createDocument: (libraryId, documentId, change) =>
        payloads((deeds) => deeds.createDocument(libraryId, documentId, change)),
      evict: (target, options) => payloads((deeds) => deeds.evict(target, options)),
      delete: (target, options) => payloads((deeds) => deeds.delete(target, options)),
      allowAgain: (target, change) => payloads((deeds) => deeds.allowAgain(target, change)),
      prune: (options) => payloads((deeds) => deeds.prune(options)),
      webhooks: webhooks(({ webhooks }) => webhooks),
      webhook: (id) => webhooks((deeds) => deeds.webhook(id)),
      addWebhook: (webhook, change) => webhooks((deeds) => deeds.addWebhook(webhook, change)),
      removeWebhook: (id, change) => webhooks((deeds) => deeds.removeWebhook(id, change)),
      replayWebhook: (id, replay, change) => webhooks((deeds) => deeds.replayWebhook(id, replay, change)),
      testWebhook: (id) => webhooks((deeds) => deeds.testWebhook(id))
    }
  })

const kind =
  <Deeds>(load: () => Promise<Deeds>) =>
  <A>(deed: (deeds: Deeds) => Effect.Effect<A, unknown>): Effect.Effect<A, unknown> =>
    Effect.flatMap(Effect.promise(load), deed)
